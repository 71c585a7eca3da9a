package stream

// Panic says for the log what a handler has panicked with. The value is not told where it may quote what a peer sent.
func Panic(r any) string {
	if e, ok := r.(error); ok {
		if _, ok := r.(interface{ RuntimeError() }); ok {
			return e.Error()
		}
	}
	return "panic"
}
