package config

// Node is a value of the file with its place.
type Node struct {
	Value any              // string, int64, float64, bool, time.Time, []*Node or nil for a table
	Keys  map[string]*Node // of a table
	Order []string         // its keys as they stand in the file
	Path  string           // modules.mod_x.keys, or host_config "b.example" modules.mod_x.keys
	Line  int
}

// Decode lays a section over the defaults: every key of n must be a field of C (toml tag), with the right type. Mistakes
// go to errs, with the nearest key that exists. If *C has a method Check(*Errors), it runs last. n may be nil.
func Decode[C any](n *Node, defaults C, errs *Errors) C { panic("config: Decode") }

// Option describes one option for the documentation.
type Option struct{ Key, Type, Default, Doc string }

// Describe lists the options of a struct with toml and doc tags, nested structs included.
func Describe(defaults any) []Option { panic("config: Describe") }
