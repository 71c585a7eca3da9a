// Package auth knows who may log in: accounts, SASL mechanisms, channel binding, and the patience with those who guess.
//
// # Implementation notes
//
//   - Passwords are stored as SCRAM StoredKey and ServerKey (RFC 5802 §3), sealed with a key of the keyring; never the
//     password, never SaltedPassword.
//   - Unknown users get salts derived from the keyring and take the same path and time as known ones.
//   - Mechanisms are mellium sasl.Mechanisms of our own; an Exchange drives one and holds what it found out.
package auth
