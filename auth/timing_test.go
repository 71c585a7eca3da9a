package auth

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"path/filepath"
	"testing"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/bolt"
	"github.com/xmppd/xmppd/test/timing"
)

// TestTiming: K12 and A24, what the server's side of SCRAM and PLAIN takes for guesses of two kinds; see the package timing.
func TestTiming(t *testing.T) {
	timing.Samples(t)
	ctx := context.Background()
	a := newAccounts(t, newStore(t))
	u := a.host(testHost)
	s := &scram{users: u, hash: "SHA-256"}
	x := &Exchange{Conn: &Conn{Host: testHost}, ctx: ctx}

	// A last message of SCRAM, and the proof in it.
	l, err := u.lookup(ctx, "alice", "SHA-256")
	must(t, err)
	alice, nobody := stanza.MustJID("alice@"+testHost), stanza.MustJID("nobod@"+testHost)
	st := &scramState{account: alice, clientFirst: "n=alice,r=abc", serverFirst: "r=abcdef,s=,i=16", nonce: "abcdef", binding: []byte("n,,")}
	head := "c=biws,r=abcdef"
	salted, err := pbkdf2.Key(sha256.New, testPassword, l.Salt, l.Iterations, sha256.Size)
	must(t, err)
	proof := hmacOf(sha256.New, salted, "Client Key")
	subtle.XORBytes(proof, proof, hmacOf(sha256.New, l.stored, st.clientFirst+","+st.serverFirst+","+head))
	message := func(p []byte) []byte { return []byte(head + ",p=" + base64.StdEncoding.EncodeToString(p)) }
	if _, err := s.final(x, message(proof), st); err != nil {
		t.Fatal("the proof that ought to be right:", err)
	}
	in := message(proof)
	guess := func(wrong int) []byte {
		p := append([]byte{}, proof...)
		p[wrong]++
		return message(p)
	}
	guesses := [2][]byte{guess(0), guess(31)}
	final := func() {
		if _, err := s.final(x, in, st); err == nil {
			t.Fatal("let in")
		}
	}
	timing.Check(t, "SCRAM: proof wrong in its first or last byte", func(class int) { copy(in, guesses[class]) }, final)

	// Whether there is such an account: the same steps, and a store that takes as long as it takes. This is only reported.
	for name, store := range map[string]storage.Store{"memory": newStore(t), "bolt": openBolt(t)} {
		u := newAccounts(t, store).host(testHost)
		s.users, st.account = u, alice
		timing.Report(t, "SCRAM: account there or not, "+name, func(class int) { st.account = [2]stanza.JID{alice, nobody}[class] }, final)
		local := ""
		timing.Report(t, "PLAIN: account there or not, "+name, func(class int) { local = [2]string{"alice", "nobod"}[class] }, func() {
			if u.Check(ctx, local, "wrong") == nil {
				t.Fatal("let in")
			}
		})
	}
}

func openBolt(t *testing.T) storage.Store {
	st, err := bolt.Open(filepath.Join(t.TempDir(), "x.db"), bolt.Options{})
	must(t, err)
	t.Cleanup(func() { st.Close() })
	return st
}
