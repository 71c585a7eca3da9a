//go:build unix

package main

import "syscall"

// umask makes what this process creates its user's own.
func umask() { syscall.Umask(0o077) }
