package test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// load sends messages to one account, from several, and counts what is acknowledged. A message of sender 2 has the id s2-0,
// s2-1 and so on.
type load struct {
	acked [3]atomic.Int64
	busy  chan struct{} // closed when the first has had enough acknowledged
	once  sync.Once
	stop  atomic.Bool
	done  sync.WaitGroup
}

const (
	loadWindow = 64 // messages that a sender does not wait for
	loadEnough = 500
)

func startLoad(t *testing.T, s *xtest.Server, to string) *load {
	t.Helper()
	l := &load{busy: make(chan struct{})}
	reader := s.Online(t, to+"/reads")
	go func() {
		for {
			if _, err := reader.Next(); err != nil {
				return
			}
		}
	}()
	for i := range l.acked {
		c := s.Login(t, fmt.Sprintf("sender%d@localhost/x", i))
		c.EnableSM("")
		window := make(chan struct{}, loadWindow)
		l.done.Add(2)
		sent := make(chan int, 1)
		go func() {
			defer l.done.Done()
			n := 0
			for ; !l.stop.Load(); n++ {
				window <- struct{}{}
				if c.TrySend(fmt.Sprintf("<message to='%s' type='chat' id='s%d-%d'><body>%s</body></message><r %s/>", to, i, n, xtest.Marker, nsSM)) != nil {
					break
				}
			}
			sent <- n
		}()
		go func() {
			defer l.done.Done()
			all := -1
			for all < 0 || int(l.acked[i].Load()) < all {
				select {
				case all = <-sent:
					continue
				default:
				}
				n, err := c.Next()
				if err != nil {
					t.Errorf("sender %d: %v", i, err)
					l.stop.Store(true)
					return
				}
				if n.Name.Local == "a" {
					h, _ := strconv.ParseInt(n.Attr("h"), 10, 64)
					for range h - l.acked[i].Swap(h) {
						<-window
					}
					if i == 0 && h >= loadEnough {
						l.once.Do(func() { close(l.busy) })
					}
				}
			}
		}()
	}
	return l
}

func (l *load) counts() (out [3]int64) {
	for i := range out {
		out[i] = l.acked[i].Load()
	}
	return out
}

func (l *load) end() {
	l.stop.Store(true)
	l.done.Wait()
}

// TestBackup: D11. A copy of a server that works is whole, sound and for nobody else, and becomes a server again.
func TestBackup(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys})
	s.AddUsers("carol@localhost", "sender0@localhost", "sender1@localhost", "sender2@localhost")
	c := cli{t, s}
	file := filepath.Join(s.Dir, "copy.tar")
	var before [3]int64

	t.Run("D11 hot", func(t *testing.T) {
		begin := time.Now()
		l := startLoad(t, s, "carol@localhost")
		select {
		case <-l.busy:
		case <-time.After(xtest.Wait):
			t.Fatal("the server takes nothing")
		}
		before = l.counts()
		if out := c.ok("", "backup", file); !strings.HasPrefix(out, "wrote "+file) {
			t.Errorf("backup: %s", out)
		}
		after := l.counts()
		l.end()
		total := l.counts()
		t.Logf("%d messages acknowledged before, %d while the copy was made; %.0f a second", sum(before), sum(after)-sum(before),
			float64(sum(total))/time.Since(begin).Seconds())
		if sum(before) == 0 || sum(after) == sum(before) {
			t.Error("the server did nothing meanwhile")
		}
		if fi, err := os.Stat(file); err != nil || fi.Mode() != 0o600 {
			t.Errorf("mode: %v %v", fi, err)
		}
		if left, _ := filepath.Glob(filepath.Join(s.Dir, ".copy*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if out := c.ok("", "verify", file); !strings.Contains(out, "is sound") {
			t.Errorf("verify: %s", out)
		}
		if out := c.ok("", "verify"); !strings.Contains(out, "the database is sound") {
			t.Errorf("verify: %s", out)
		}
		c.fails("", []string{"backup", file}, "there already")
	})
	if t.Failed() {
		return
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("D11 a tar", func(t *testing.T) {
		tr := tar.NewReader(bytes.NewReader(whole))
		var names []string
		for {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h.Mode != 0o600 {
				t.Errorf("%s has mode %o", h.Name, h.Mode)
			}
			names = append(names, h.Name)
		}
		if want := []string{"server.key", "xmppd.db"}; !slices.Equal(names, want) {
			t.Errorf("it has %v", names)
		}
	})

	t.Run("D11 refused over a live directory", func(t *testing.T) {
		c.fails("", []string{"restore", file}, "a server runs", "nothing is restored")
		s.Kill()
		was := xtest.Listing(t, filepath.Join(s.Dir, "data"))
		c.fails("", []string{"restore", file}, "not empty", "nothing is restored")
		if now := xtest.Listing(t, filepath.Join(s.Dir, "data")); now != was {
			t.Errorf("was\n%s\nis\n%s", was, now)
		}
	})

	dir := filepath.Join(s.Dir, "data")
	must(t, os.Rename(dir, filepath.Join(s.Dir, "lost")))
	t.Run("D11 refused", func(t *testing.T) {
		bad := filepath.Join(s.Dir, "bad.tar")
		spoil := func(fn func([]byte) []byte) []byte { return fn(bytes.Clone(whole)) }
		for what, test := range map[string]struct {
			file []byte
			say  string
		}{
			"cut short":         {whole[:len(whole)/2], "cut short"},
			"nothing":           {nil, "no backup of xmppd"},
			"a database alone":  {whole[3*512:], "no backup of xmppd"},
			"another name":      {spoil(func(b []byte) []byte { return bytes.Replace(b, []byte("server.key"), []byte("../../../k"), 1) }), "no backup of xmppd"},
			"another name, new": {packed(t, "../../evil", "x", "xmppd.db", "x"), "no server.key"},
			"a small keyring":   {packed(t, "server.key", "short", "xmppd.db", "x"), "5 bytes"},
			"no database":       {packed(t, "server.key", strings.Repeat("k", 32), "xmppd.db", "x"), "not a database"},
			"damaged records":   {spoil(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("sender0"), []byte("sendex0")) }), "damaged"},
			"another keyring":   {spoil(func(b []byte) []byte { b[512] ^= 1; return b }), "the keyring file is not the one"},
		} {
			if err := os.WriteFile(bad, test.file, 0o600); err != nil {
				t.Fatal(err)
			}
			_, errs, code := s.Run("", "restore", bad)
			if code != 1 || !strings.Contains(errs, test.say) {
				t.Errorf("%s: exit %d: %s", what, code, errs)
			}
			if what != "another keyring" {
				if _, verrs, code := s.Run("", "verify", bad); code != 1 || !strings.Contains(verrs, test.say) {
					t.Errorf("verify %s: exit %d: %s", what, code, verrs)
				}
			}
			left, _ := filepath.Glob(filepath.Join(dir, "*"))
			if len(left) > 1 || len(left) == 1 && filepath.Base(left[0]) != "xmppd.db.lock" {
				t.Errorf("%s: left behind: %v", what, left)
			}
		}
	})

	t.Run("D11 restored", func(t *testing.T) {
		if out := c.ok("", "restore", file); !strings.Contains(out, dir) {
			t.Errorf("restore: %s", out)
		}
		for _, name := range []string{"server.key", "xmppd.db"} {
			if fi, err := os.Stat(filepath.Join(dir, name)); err != nil || fi.Mode() != 0o600 {
				t.Errorf("%s: %v %v", name, fi, err)
			}
		}
		s.Start(xtest.Options{})
		for who, ids := range map[string][]string{"carol": {"s0", "s1", "s2"}, "sender1": {"s1"}} {
			out := c.ok("", "export", who+"@localhost")
			for _, id := range ids {
				i := int(id[1] - '0')
				there := map[int64]bool{}
				for _, m := range regexp.MustCompile(`id='`+id+`-(\d+)'`).FindAllStringSubmatch(out, -1) {
					n, _ := strconv.ParseInt(m[1], 10, 64)
					there[n] = true
				}
				for n := range max(before[i], int64(len(there))) { // and of those that came later no one without those before it
					if !there[n] {
						t.Fatalf("%s: %s-%d is missing; %d were acknowledged before, %d are there", who, id, n, before[i], len(there))
					}
				}
			}
		}
		s.Login(t, "carol@localhost/again").Quit() // with the password that only the right keyring knows
	})

	t.Run("D11 without a server", func(t *testing.T) {
		must(t, s.Stop())
		again := filepath.Join(s.Dir, "again.tar")
		c.ok("", "backup", again)
		c.ok("", "verify", again)
		c.ok("", "verify")
	})

	t.Run("who takes a backup holds up no end", func(t *testing.T) {
		s.Start(xtest.Options{})
		conn, err := net.Dial("unix", filepath.Join(dir, "xmppd.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.Write([]byte("GET /v1/backup HTTP/1.1\r\nHost: xmppd\r\n\r\n"))
		head := make([]byte, 64)
		if _, err := io.ReadFull(conn, head); err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 200")) {
			t.Fatalf("%s %v", head, err)
		}
		must(t, s.Stop())
	})
}

func sum(n [3]int64) int64 { return n[0] + n[1] + n[2] }

// packed makes a tar of names and contents.
func packed(t *testing.T, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(pairs); i += 2 {
		must(t, w.WriteHeader(&tar.Header{Name: pairs[i], Size: int64(len(pairs[i+1])), Mode: 0o644, Format: tar.FormatGNU}))
		if _, err := w.Write([]byte(pairs[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	must(t, w.Close())
	return b.Bytes()
}
