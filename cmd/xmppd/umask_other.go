//go:build !unix

package main

// umask is for systems that have one; here the data directory's own rights say who reads what is in it.
func umask() {}
