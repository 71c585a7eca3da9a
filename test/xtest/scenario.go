package xtest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// A scenario is a conversation in a text file:
//
//	# What it shows, with the section.
//	accounts alice bob
//	online alice/phone bob/desk
//
//	alice/phone sends
//	  <message to='bob@HOST' type='chat'><body>hi</body></message>
//	bob/desk receives
//	  <message from='alice@HOST/phone'><body>hi</body></message>
//
// Directives:
//
//   - accounts NAMES: makes accounts on HOST, or bob@HOST2 on the second host. Their names are made unique for the scenario.
//   - rooms NAMES: their names are made unique as well. C opens ROOM@conference.HOST/NICK FIELD=VALUE…: makes a room with that
//     configuration. C configures ROOM@… FIELD=VALUE…: changes it. C joins ROOM@…/NICK: enters it, and what was on its way and
//     what that brings up to the subject is dropped.
//   - config + TOML: a server of its own for the scenario, with these lines; before all others.
//   - connect C…: login and bind. online C…: also initial presence; what it brings is dropped.
//   - C sends + XML.
//   - C receives + one pattern (see Match; the order of arrival counts); C receives any + patterns in whatever order, one a
//     line; C receives nothing.
//   - C disconnects: closes the stream. C drops: cuts the connection. Both wait until the server has told whom it concerns.
//     C ends with CONDITION: a stream error.
//   - drain C…: reads and drops what has arrived.
//   - C manages the stream: switches XEP-0198 on; requests to acknowledge are not shown from then on. C acks: all that it has
//     read. C cuts: cuts the connection, to come back, and waits until the server knows that it is gone. C resumes: comes
//     back, also where it never went.
//   - restart: SIGKILL and start; all clients are gone.
//   - stop: SIGTERM and start, for what is written at the end.
//
// HOST and HOST2 are the server's hosts, {x*1000} is a thousand x. An attribute $name of a pattern takes what arrives there;
// later it stands for that, as an attribute or a text.
type scenario struct {
	t       testing.TB
	s       *Server
	file    string
	suffix  string
	names   []string
	hosts   map[string]string // of the names
	vars    map[string]string
	clients map[string]*Client
	order   []string
}

var scenarioSeq atomic.Int64

var times = regexp.MustCompile(`\{(.)\*(\d+)\}`)

// RunScenarios runs all files of a directory, each as a subtest.
func RunScenarios(t *testing.T, s *Server, glob string) {
	files, err := filepath.Glob(glob)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios at %s", glob)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			if s == nil {
				s := New(t, Options{Limits: "profile = \"off\""})
				RunScenario(t, s, f)
				return
			}
			RunScenario(t, s, f)
		})
	}
}

// RunScenario runs one file.
func RunScenario(t testing.TB, s *Server, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	sc := &scenario{t: t, s: s, file: filepath.Base(file), suffix: fmt.Sprintf("-%d", scenarioSeq.Add(1)),
		hosts: map[string]string{}, vars: map[string]string{}, clients: map[string]*Client{}}
	lines := strings.Split(string(data), "\n")
	for i := 0; i < len(lines); {
		line := strings.TrimRight(lines[i], " \t")
		at := i + 1
		i++
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		var body []string
		for i < len(lines) && (strings.HasPrefix(lines[i], " ") || strings.HasPrefix(lines[i], "\t")) {
			body = append(body, strings.TrimSpace(lines[i]))
			i++
		}
		sc.step(at, line, strings.Join(body, "\n"))
	}
}

// expand fills in the hosts, the scenario's own account names, and what was taken from earlier stanzas.
func (sc *scenario) expand(text string) string {
	for i := len(sc.s.Hosts) - 1; i > 0; i-- {
		text = strings.ReplaceAll(text, fmt.Sprintf("HOST%d", i+1), sc.s.Hosts[i])
	}
	text = strings.ReplaceAll(text, "HOST", sc.s.Hosts[0])
	text = times.ReplaceAllStringFunc(text, func(m string) string {
		p := times.FindStringSubmatch(m)
		n, _ := strconv.Atoi(p[2])
		return strings.Repeat(p[1], n)
	})
	for k, v := range sc.vars {
		text = strings.ReplaceAll(text, "'"+k+"'", "'"+v+"'")
		text = strings.ReplaceAll(text, ">"+k+"<", ">"+v+"<")
	}
	for _, n := range sc.names {
		text = regexp.MustCompile(`\b`+n+`@`).ReplaceAllString(text, n+sc.suffix+"@")
	}
	return text
}

func (sc *scenario) step(line int, head, body string) {
	sc.t.Helper()
	fail := func(format string, args ...any) {
		sc.t.Helper()
		sc.t.Fatalf("%s:%d: %s", sc.file, line, fmt.Sprintf(format, args...))
	}
	w := strings.Fields(head)
	body = sc.expand(body)
	switch w[0] {
	case "config":
		sc.s = New(sc.t, Options{Limits: "profile = \"off\"", Extra: body})
		return
	case "rooms":
		sc.names = append(sc.names, w[1:]...)
		return
	case "accounts":
		var jids []string
		for _, n := range w[1:] {
			n, host, ok := strings.Cut(n, "@")
			if host = sc.expand(host); !ok {
				host = sc.s.Hosts[0]
			}
			sc.names, sc.hosts[n] = append(sc.names, n), host
			jids = append(jids, n+sc.suffix+"@"+host)
		}
		sc.s.AddUsers(jids...)
		return
	case "connect", "online":
		for _, name := range w[1:] {
			user, res, _ := strings.Cut(name, "/")
			full := user + sc.suffix + "@" + sc.hosts[user] + "/" + res
			var c *Client
			if w[0] == "online" {
				c = sc.s.Online(sc.t, full)
			} else {
				c = sc.s.Login(sc.t, full)
			}
			c.Name = name
			sc.drop(name)
			sc.add(c)
		}
		if w[0] == "online" {
			sc.settle()
			for _, name := range w[1:] {
				sc.clients[name].pending = nil
			}
		}
		return
	case "drain":
		sc.settle()
		for _, name := range w[1:] {
			sc.client(name, fail).pending = nil
		}
		return
	case "restart", "stop":
		if w[0] == "restart" {
			sc.s.Kill()
		} else if err := sc.s.Stop(); err != nil {
			fail("stop: %v", err)
		}
		sc.s.Start(Options{})
		sc.clients, sc.order = map[string]*Client{}, nil
		return
	}
	c := sc.client(w[0], fail)
	switch rest := strings.Join(w[1:], " "); {
	case len(w) > 1 && (w[1] == "joins" || w[1] == "opens" || w[1] == "configures"):
		sc.enters(c, w[1:], fail)
	case rest == "sends":
		c.Send("%s", body)
	case rest == "receives":
		want, err := Parse(body)
		if err != nil {
			fail("pattern: %v", err)
		}
		take := sc.holes(want)
		got, err := c.Next()
		if err != nil {
			fail("%s wants %s: %v (last bytes: %s)", c.Name, body, err, c.in.last)
		}
		if why := Match(want, got); why != "" {
			fail("%s: %s\nwanted %s\ngot    %s", c.Name, why, body, got)
		}
		take(got)
	case rest == "receives any":
		sc.receiveAny(c, body, fail)
	case rest == "receives nothing":
		sc.settle()
		if len(c.pending) > 0 {
			fail("%s wants nothing, got %s", c.Name, c.pending)
		}
	case rest == "disconnects":
		sc.gone(w[0], c.Quit)
		sc.drop(w[0])
	case rest == "drops":
		sc.gone(w[0], c.Cut)
		sc.drop(w[0])
	case rest == "manages the stream":
		c.EnableSM("")
	case rest == "acks":
		c.Ack()
	case rest == "cuts":
		sc.gone(w[0], c.Cut)
		sc.drop(w[0])
		sc.clients[w[0]] = c // to resume
	case rest == "resumes":
		sc.drop(w[0])
		sc.add(c.Resume(sc.t))
	case strings.HasPrefix(rest, "ends with "):
		c.WantStreamError(w[3:]...)
		sc.drop(w[0])
	default:
		fail("not a directive: %s", head)
	}
}

// receiveAny reads as many elements as there are patterns, one a line, and fits them in whatever order.
func (sc *scenario) receiveAny(c *Client, body string, fail func(string, ...any)) {
	sc.t.Helper()
	var wants []*Node
	for _, l := range strings.Split(body, "\n") {
		want, err := Parse(l)
		if err != nil {
			fail("pattern %s: %v", l, err)
		}
		wants = append(wants, want)
	}
	for range len(wants) {
		got, err := c.Next()
		if err != nil {
			fail("%s still wants %s: %v", c.Name, wants, err)
		}
		why, ok := "", false
		for i, want := range wants {
			if m := Match(want, got); m == "" {
				wants, ok = append(wants[:i:i], wants[i+1:]...), true
				break
			} else {
				why += "\n  " + m
			}
		}
		if !ok {
			fail("%s got %s, which fits none of what is still wanted:%s", c.Name, got, why)
		}
	}
}

func (sc *scenario) client(name string, fail func(string, ...any)) *Client {
	c := sc.clients[name]
	if c == nil {
		fail("no client %s is connected", name)
	}
	return c
}

// holes takes the attributes $name out of a pattern that have no value yet, and returns what fills them from an element
// that fits. Elements of the same name are not told apart: the first counts.
func (sc *scenario) holes(want *Node) (take func(got *Node)) {
	var takes []func(*Node)
	for i, a := range want.Attrs {
		if strings.HasPrefix(a.Value, "$") {
			want.Attrs[i].Value = "*"
			takes = append(takes, func(got *Node) { sc.vars[a.Value] = got.Attr(a.Name.Local) })
		}
	}
	for _, ch := range want.Children {
		name, deeper := ch.Name.Local, sc.holes(ch)
		takes = append(takes, func(got *Node) {
			if n := got.Child(name); n != nil {
				deeper(n)
			}
		})
	}
	return func(got *Node) {
		for _, t := range takes {
			t(got)
		}
	}
}

func (sc *scenario) add(c *Client) {
	sc.clients[c.Name] = c
	sc.order = append(sc.order, c.Name)
}

func (sc *scenario) drop(name string) {
	delete(sc.clients, name)
	for i, n := range sc.order {
		if n == name {
			sc.order = append(sc.order[:i:i], sc.order[i+1:]...)
			break
		}
	}
}

// gone ends a client's connection, and waits until its session is at an end, or waits to be resumed, and all who are told have been: the
// log says so.
func (sc *scenario) gone(name string, end func()) {
	sc.t.Helper()
	at := len(sc.s.Log())
	end()
	user, res, _ := strings.Cut(name, "/") // the end of the line says whose: another one may be on its way
	sc.s.WaitLog(sc.t, at, fmt.Sprintf(`"account":"%s@%s","resource":"%s"}`, user+sc.suffix, sc.hosts[user], res))
}

// settle waits until all that any client sent has been handled and has arrived: one barrier for the handling, one for
// what it brought.
func (sc *scenario) settle() {
	for range 2 {
		for _, n := range sc.order {
			c := sc.clients[n]
			pending := c.pending
			c.pending = nil
			c.pending = append(pending, c.Barrier()...)
		}
	}
}
