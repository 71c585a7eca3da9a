// Package router decides who gets a stanza. Read router.go (whose is the domain?) and deliver.go (which sessions of the
// account? RFC 6121 §8) at one sitting.
package router
