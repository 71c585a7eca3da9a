package modules

import (
	"context"
	"fmt"
	"testing"
)

// ender is a fake that has something to tell before it is stopped.
type ender struct {
	fake
	published func() int
}

func (e *ender) End(context.Context) {
	e.log.add("end %s=%s", e.name, e.cfg.Value)
	if n := e.published(); n > 0 {
		e.log.add("(published %d times)", n)
	}
}

// A module that a reload stops tells what it has to tell while it is still in force; those that stay tell nothing, and at the end of the
// server all do.
func TestEnder(t *testing.T) {
	var j journal
	var b *bench
	var infos []Info
	for _, name := range []string{"mod_a", "mod_b"} {
		infos = append(infos, Define(Info{Name: name, Default: true}, fakeConfig{Value: "1"}, func(c fakeConfig) Module {
			return &ender{fake{name, c, nil, &j}, func() int { return len(b.published) }}
		}))
	}
	b = newBench(t, infos...)
	b.mustLoad("")
	j.take()
	b.mustLoad("[[host_config]]\nhost = \"a.test\"\ndisabled_modules = [\"mod_b\"]\n")
	if got, want := j.take(), "end mod_b=1 (published 1 times) stop mod_b=1"; got != want {
		t.Errorf("switched off: %s, want %s", got, want)
	}
	if n := len(b.published); n != 2 {
		t.Fatal(fmt.Sprint("published ", n))
	}
	b.End(t.Context())
	if got, want := j.take(), "end mod_a=1 (published 2 times)"; got != want {
		t.Errorf("the server ends: %s, want %s", got, want)
	}
}
