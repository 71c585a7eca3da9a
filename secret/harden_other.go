//go:build !unix

package secret

import "errors"

// Harden keeps the memory of this process from others, where it is known how: here it is not.
func Harden() error {
	return errors.New("secret: memory may be dumped: this system is not known")
}
