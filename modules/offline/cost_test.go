package offline

import (
	"context"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/stream"
)

// nowhere is a store that writes nothing.
type nowhere struct{ storage.Bucket }

func (nowhere) Start(context.Context, func(storage.Tx) error) func() error {
	return func() error { return nil }
}

// keeper is mod_offline over a store that writes nothing, and a message for it with the context that it comes in.
func keeper(t testing.TB) (ctx context.Context, b *stream.Batch, m *module, p *modules.Packet) {
	t.Helper()
	in := modules.Define(Info, Config{}, func(c Config) modules.Module { m = &module{runs: map[string]*run{}}; return m })
	h := modtest.New(t, "a.test", in)
	h.User("carol")
	m.box = box{nowhere{}}
	st, err := stanza.Parse([]byte("<message from='alice@a.test/x' to='carol@a.test' type='chat' id='m'><body>Wherefore art thou, Romeo?</body></message>"))
	if err != nil {
		t.Fatal(err)
	}
	b = new(stream.Batch)
	return stream.WithBatch(context.Background(), b), b, m, modules.NewPacket(st)
}

// TestAllocs: a message is stamped, written into one slice of bytes and handed to the store, which is waited for later.
func TestAllocs(t *testing.T) {
	ctx, b, m, p := keeper(t)
	if n := testing.AllocsPerRun(100, func() {
		b.Open()
		m.unclaimed(ctx, p)
		b.Shut()
		b.Settle(ctx)
	}); n > 10 {
		t.Errorf("%v allocations for each message", n)
	}
}

// BenchmarkKeep is mod_offline's part of storing a message, without the store's.
func BenchmarkKeep(b *testing.B) {
	ctx, batch, m, p := keeper(b)
	b.ReportAllocs()
	for b.Loop() {
		batch.Open()
		m.unclaimed(ctx, p)
		batch.Shut()
		batch.Settle(ctx)
	}
}
