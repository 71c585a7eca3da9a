package accounts

import (
	"context"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
)

func TestSessionsEnd(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		name      string
		change    func(context.Context, *modtest.Users) error
		condition string
	}{
		{"password", func(ctx context.Context, u *modtest.Users) error { return u.SetPassword(ctx, "alice", "new") }, "reset"},
		{"disabled", func(ctx context.Context, u *modtest.Users) error { return u.SetDisabled(ctx, "alice", true) }, "not-authorized"},
		{"deleted", func(ctx context.Context, u *modtest.Users) error { return u.Delete(ctx, "alice") }, "not-authorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := modtest.New(t, "a.test", Info)
			actor, other, asleep := h.Session("alice@a.test/1"), h.Session("alice@a.test/2"), h.Session("alice@a.test/3")
			bob := h.Session("bob@a.test/1")
			asleep.Hibernate()
			if err := tt.change(modules.WithActor(ctx, actor), h.Users); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*modtest.Session{other, asleep} {
				if closed, e := s.Closed(); !closed || e == nil || e.Condition != tt.condition {
					t.Errorf("%s: closed %v %v", s.JID(), closed, e)
				}
			}
			for _, s := range []*modtest.Session{actor, bob} {
				if closed, _ := s.Closed(); closed {
					t.Errorf("%s is closed", s.JID())
				}
			}
			// Somebody else did it: all end.
			h.Users.Create(ctx, "alice", modtest.Password)
			if err := tt.change(ctx, h.Users); err != nil {
				t.Fatal(err)
			}
			if closed, _ := actor.Closed(); !closed {
				t.Error("the last session goes on")
			}
		})
	}
}

func TestEnabling(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/1")
	h.Users.SetDisabled(context.Background(), "alice", false)
	if closed, _ := alice.Closed(); closed {
		t.Error("closed")
	}
}
