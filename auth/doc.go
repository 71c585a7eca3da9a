// Package auth knows who may log in: accounts, SASL mechanisms, channel binding, and the patience with those who guess.
//
// # Implementation notes
//
//   - Passwords are stored as SCRAM StoredKey and ServerKey (RFC 5802 §3), sealed with a key of the keyring; never the
//     password, never SaltedPassword.
//   - Unknown users get salts derived from the keyring and take the same path and time as known ones. An account whose
//     password was set under other hashes or iterations than those in force keeps them, and can be told by that.
//   - Mechanisms are mellium sasl.Mechanisms of our own; an Exchange drives one and holds what it found out. No key stays in
//     memory between two steps: the second one reads the record again, so a password changed in between is void.
//   - No error and no Failure quotes a password, key, proof or record.
//   - A change is told of (Accounts.OnChange) when it is on disk, on the goroutine that made it.
package auth
