package auth

// Keyring is the server's own secret: one file of 32 random bytes, made at the first start with mode 0600, from which every
// use derives its own key (HKDF-SHA-256). Without it a copy of the database is of no use.
type Keyring struct{ keyring }

type keyring struct{}

// OpenKeyring reads the file, or makes it. It refuses one that others can read or write, a symbolic link, and one of the
// wrong size, and says the remedy.
func OpenKeyring(path string) (*Keyring, error) { panic("auth") }

// Secret returns the 32-byte key for a use; the same label always gives the same key.
func (k *Keyring) Secret(label string) []byte { panic("auth") }
