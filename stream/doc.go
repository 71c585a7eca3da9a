// Package stream is an XML stream on a connection: header, features, TLS, bytes to stanzas and stanzas to bytes, limits.
// It knows nothing of accounts or routing; c2s and s2s drive it.
//
// # Implementation notes
//
//   - One goroutine reads. Any goroutine may queue output; nobody ever waits for a slow peer: output is appended to the
//     outbox and flushed without blocking, what the socket does not take waits for it in a goroutine of its own that ends
//     when all is written.
//   - A connection that has nothing to say holds no buffer, no timer of ours and no writer goroutine. It waits for input
//     in a few bytes of its own and takes a buffer when there is some.
//   - What lies in the outbox at the time of writing goes out in one TLS record sequence: writes coalesce by themselves. A
//     batch for many gives readers that are ready the time to add theirs (Batch.Flush).
//   - Below TLS sits a wire, whose Write never waits, because TLS writes while it reads. While it has bytes left that the
//     socket did not take, nothing more is encrypted: what waits, waits in the outbox, as text and with a bound.
//   - The socket's read deadline may be earlier than the one wanted, never later; who wakes too early goes on reading.
//   - Two transports: a connection of package net is waited for by its reader; one that a Poller has adopted can be parked,
//     and then has no reader until there is something to read. All else is the same code.
//   - Lock order: readMu, mu, wire.mu, then the Poller's.
package stream
