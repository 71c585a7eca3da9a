// Package stream is an XML stream on a connection: header, features, TLS, bytes to stanzas and stanzas to bytes, limits.
// It knows nothing of accounts or routing; c2s and s2s drive it.
//
// # Implementation notes
//
//   - One goroutine reads. Any goroutine may queue output; nobody ever waits for a slow peer: output is appended to the
//     outbox and flushed without blocking, what the socket does not take waits for it in a goroutine of its own that ends
//     when all is written.
//   - A connection that has nothing to say holds no buffer, no timer and no writer goroutine.
//   - What lies in the outbox at the time of writing goes out in one TLS record sequence: writes coalesce by themselves.
package stream
