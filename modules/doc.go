// Package modules is the API that features are written against. A module gets a [Host] when it starts and registers with
// it what it offers: hooks, IQ handlers, stream features, SASL mechanisms. The core never names a feature.
//
// # Life of a module
//
//  1. Info.Defaults is laid under the section of the file; Config.Check, if there is one, may complain.
//  2. Info.New makes an instance for one virtual host.
//  3. Start registers all that the module offers. An error undoes the whole load.
//  4. A changed section calls Reload where the module has one; else a new instance is started beside the old one.
//  5. When the new table is in force, Stop is called on instances that are no longer in it. What Start registered is
//     withdrawn by the loader.
//
// # What a module stores
//
// What is stored of an account ends with it: in Hooks.UserDeleted. Its owner can have it and take it elsewhere: the module
// provides [Portable]. What is asked for with every stanza is kept in an [AccountCache].
//
// # Implementation notes
//
//   - Handlers run on the sender's reading goroutine: order is kept (RFC 6120 §10.1), and a slow store slows only the
//     sender. They must not wait for other sessions.
//   - A Table is immutable; a reload makes a new one and swaps a pointer.
//   - A handler must not keep a Packet's stanza: it points into a read buffer. Stanza.Retain copies.
package modules
