package bolt

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// The crash test's child process is this test binary, told by the environment which file to write to.
const (
	crashFile  = "XMPPD_CRASH_FILE"
	crashRound = "XMPPD_CRASH_ROUND"
	crashLoops = "XMPPD_CRASH_LOOPS"
	fileLimit  = "XMPPD_FILE_LIMIT" // of TestFileLimit's
)

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		if size := os.Getenv(fileLimit); size != "" {
			limitChild(path, size)
		}
		crashChild(path, os.Getenv(crashRound))
	}
	os.Exit(m.Run())
}

// crashChild writes until it is killed, and says of every write that it was acknowledged:
//
//	put KEY         KEY has its value
//	try KEY         KEY may be deleted from now on
//	del KEY         KEY is deleted
//	two KEY         KEY has its value in two KVs
//	add OWNER ID N  the archive has the item ID, of content N
func crashChild(path, round string) {
	fail := func(err error) {
		fmt.Println("error", err)
		os.Exit(3)
	}
	o := Options{}
	if n, _ := strconv.Atoi(round); n%2 == 1 {
		o.layerSize = 20_000 // so that checkpoints are hit
	}
	s, err := Open(path, o)
	if err != nil {
		fail(err)
	}
	var mu sync.Mutex
	say := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		os.Stdout.WriteString(line + "\n")
	}
	ctx := context.Background()
	b := s.Bucket("modules", "a.test", "crash")
	for g := range 12 {
		go func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%s/%d/%d", round, g, n)
				var err error
				var id string
				switch g % 3 {
				case 0:
					err = b.KV("put").Put(ctx, []byte(key), crashValue(key))
					say("put " + key)
					if n%4 == 3 && err == nil {
						say("try " + key)
						err = b.KV("put").Delete(ctx, []byte(key))
						say("del " + key)
					}
				case 1:
					err = b.Update(ctx, func(tx storage.Tx) error {
						return errors.Join(tx.KV("one").Put([]byte(key), crashValue(key)), tx.KV("two").Put([]byte(key), crashValue(key)))
					})
					say("two " + key)
				case 2:
					owner := fmt.Sprintf("owner%d", g%2)
					id, err = b.Archive("ar").Append(ctx, owner, storage.Item{With: "w" + strconv.Itoa(n%3), Data: crashValue(key)})
					say("add " + owner + " " + id + " " + key)
				}
				if err != nil {
					fail(err)
				}
			}
		}()
	}
	select {}
}

// crashValue is what a key's value must be; some take several pages.
func crashValue(key string) []byte {
	n := 1
	if len(key)%7 == 0 {
		n = 600
	}
	return bytes.Repeat([]byte("value of "+key+";"), n)
}

// repeats is how often something is tried: so often, or as the environment says.
func repeats(t *testing.T, usual, short int) int {
	t.Helper()
	if s := os.Getenv(crashLoops); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", crashLoops, err)
		}
		return n
	}
	if testing.Short() {
		return short
	}
	return usual
}

// TestCrash kills a writing process in a loop and expects each write that it had acknowledged.
func TestCrash(t *testing.T) {
	loops := repeats(t, 10, 3)
	path := filepath.Join(t.TempDir(), "x.db")
	want := newCrashState()
	rnd := rand.New(rand.NewPCG(uint64(loops), uint64(time.Now().UnixNano())))
	for i := range loops {
		// Early kills hit the opening, late ones the writing. The first one must not be too early to see anything.
		delay := time.Duration(rnd.IntN(300)) * time.Millisecond
		acked := want.run(t, path, i, delay)
		s := openAt(t, path, Options{})
		want.check(t, s)
		if err := s.Verify(t.Context()); err != nil {
			t.Errorf("Verify: %v", err)
		}
		if i%2 == 0 { // every other time the next process finds an unclean file
			check(t, s.Close())
		} else {
			s.w.broken.Store(&errNoMark)
			s.Close()
		}
		if t.Failed() {
			t.Fatalf("in round %d, killed after %v and %d writes", i, delay, acked)
		}
	}
	t.Logf("%d rounds, %d acknowledged writes", loops, want.acked)
	if want.acked == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// errNoMark keeps Close from marking the file as closed well.
var errNoMark = errors.New("no mark")

type crashState struct {
	put, two map[string]bool              // false: may be there or not
	add      map[string]map[string]string // owner, ID, key
	acked    int
}

func newCrashState() crashState {
	return crashState{put: map[string]bool{}, two: map[string]bool{}, add: map[string]map[string]string{}}
}

// run starts a child, kills it after it has begun to write and a while, and notes what it acknowledged.
func (c *crashState) run(t *testing.T, path string, round int, delay time.Duration) (acked int) {
	t.Helper()
	exe, err := os.Executable()
	check(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), crashFile+"="+path, crashRound+"="+strconv.Itoa(round))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	if round > 0 { // at least the first is killed after its first write, whatever the machine's load
		kill.Reset(delay)
	}
	in := bufio.NewReaderSize(out, 1<<16)
	for {
		line, err := in.ReadString('\n')
		if err != nil { // the last line may be cut off: the child did not get to say it
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		if f := strings.Fields(line); !c.note(f) {
			t.Errorf("the child says %q", line)
			cmd.Process.Kill()
		}
		acked++
		if acked == 1 && round == 0 {
			kill.Reset(delay)
		}
	}
	cmd.Wait()
	kill.Stop()
	c.acked += acked
	return acked
}

func (c *crashState) note(f []string) bool {
	switch {
	case len(f) == 2 && f[0] == "put":
		c.put[f[1]] = true
	case len(f) == 2 && f[0] == "try":
		c.put[f[1]] = false
	case len(f) == 2 && f[0] == "del":
		c.put["gone "+f[1]] = true
		delete(c.put, f[1])
	case len(f) == 2 && f[0] == "two":
		c.two[f[1]] = true
	case len(f) == 4 && f[0] == "add":
		if c.add[f[1]] == nil {
			c.add[f[1]] = map[string]string{}
		}
		c.add[f[1]][f[2]] = f[3]
	default:
		return false
	}
	return true
}

// check reads everything: each acknowledged write is there, and what else is there is whole.
func (c *crashState) check(t *testing.T, s *Store) {
	t.Helper()
	b := s.Bucket("modules", "a.test", "crash")
	there := map[string]map[string]bool{}
	for _, name := range []string{"put", "one", "two"} {
		there[name] = map[string]bool{}
		check(t, b.KV(name).Scan(t.Context(), nil, nil, func(k, v []byte) bool {
			there[name][string(k)] = true
			if !bytes.Equal(v, crashValue(string(k))) {
				t.Errorf("%s, %s: a wrong value", name, k)
			}
			return true
		}))
	}
	for k, sure := range c.put {
		if gone, ok := strings.CutPrefix(k, "gone "); ok {
			if there["put"][gone] {
				t.Errorf("%s: a deletion was lost", gone)
			}
		} else if sure && !there["put"][k] {
			t.Errorf("%s: lost", k)
		}
	}
	for k := range c.two {
		if !there["one"][k] || !there["two"][k] {
			t.Errorf("%s: lost from an update", k)
		}
	}
	for _, pair := range [][2]string{{"one", "two"}, {"two", "one"}} {
		for k := range there[pair[0]] {
			if !there[pair[1]][k] {
				t.Errorf("%s: half an update", k)
			}
		}
	}
	for owner, ids := range c.add {
		c.checkArchive(t, b.Archive("ar"), owner, ids)
	}
}

func (c *crashState) checkArchive(t *testing.T, ar storage.Archive, owner string, ids map[string]string) {
	t.Helper()
	var (
		n       int
		size    int64
		seen    = map[string]bool{}
		perWith = map[string]int{}
	)
	for after := ""; ; {
		p, err := ar.Page(t.Context(), owner, storage.Query{After: after, Max: 1000})
		check(t, err)
		for _, it := range p.Items {
			if it.ID <= after {
				t.Errorf("ID %s after %s", it.ID, after)
			}
			after = it.ID
			n++
			size += int64(len(it.Data))
			seen[it.ID] = true
			perWith[it.With]++
			if key, ok := ids[it.ID]; ok && !bytes.Equal(it.Data, crashValue(key)) {
				t.Errorf("item %s: wrong data", it.ID)
			}
		}
		if p.Complete {
			break
		}
	}
	for id := range ids {
		if !seen[id] {
			t.Errorf("item %s: lost", id)
		}
	}
	count, bytes, err := ar.Stat(t.Context(), owner)
	if err != nil || count != n || bytes != size {
		t.Errorf("Stat of %s: %d items of %d bytes, %v; there are %d of %d", owner, count, bytes, err, n, size)
	}
	for with, want := range perWith { // the index fits the items
		got := 0
		for after := ""; ; {
			p, err := ar.Page(t.Context(), owner, storage.Query{With: with, After: after, Max: 1000})
			check(t, err)
			got += len(p.Items)
			if p.Complete {
				break
			}
			after = p.Items[len(p.Items)-1].ID
		}
		if got != want {
			t.Errorf("%d items with %s by the index, %d by reading all", got, with, want)
		}
	}
}
