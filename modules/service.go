package modules

// ServiceOf returns the first service of a type that the modules in force on a host provide, for those who are no module:
// the CLI. What is loaded may change, so who asks must ask each time.
func ServiceOf[T any](l *Loader, host string) (T, bool) {
	var zero T
	s := (*l.view.Load())[host]
	if s == nil {
		return zero, false
	}
	v := search(s.loader.regs(), func(svc any) bool { _, ok := svc.(T); return ok }, nil)
	if v == nil {
		return zero, false
	}
	return v.(T), true
}

// FindOn is Find at request time for another virtual host of this server: a stanza between two of them is the business of
// modules of both.
func FindOn[T any](h *Host, host string) (T, bool) { return ServiceOf[T](h.loader.all, host) }
