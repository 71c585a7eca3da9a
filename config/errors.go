package config

// Errors collects the mistakes of a file. While a section is decoded it knows where it is, so that a module's Check can
// say errs.Add("ram_key_size", "must be at least 32 bytes, is %d", n) and the message has the line of that key.
type Errors struct {
	File string
	List []Mistake
	at   *Node
}

// Mistake is one line of an answer to the admin.
type Mistake struct {
	Line int
	Path string
	Text string
}

// Add notes a mistake of a key of the section being decoded (dotted for nested keys; empty for the section itself).
func (e *Errors) Add(key, format string, args ...any) { panic("config: Add") }

// Error prints one mistake a line: config.toml:14: general.hosts: …
func (e *Errors) Error() string { panic("config: Error") }
