package interop

import (
	"crypto/sha1"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// profanity is Debian's profanity in a tmux of its own: what a person would type is typed, what a person would see is read.
type profanity struct {
	socket string
	say    func(...string)
	stop   chan struct{}
	mu     sync.Mutex
	peers  map[string]bool
}

// startProfanity starts profanity with a home of its own and connects.
func startProfanity(a account, say func(...string)) (bot, error) {
	home, err := os.MkdirTemp("", "profanity-")
	if err != nil {
		return nil, err
	}
	p := &profanity{socket: filepath.Join(home, "tmux"), say: say, stop: make(chan struct{}), peers: map[string]bool{}}
	conf := filepath.Join(home, ".config", "profanity")
	if err := os.MkdirAll(conf, 0o700); err != nil {
		return nil, err
	}
	host, port, _ := strings.Cut(a.addr, ":")
	policy := "force"
	if a.direct {
		policy = "legacy"
	}
	rc := fmt.Sprintf("[ui]\nsplash=false\nwins.autotidy=false\n[presence]\nresource=%s\n[notifications]\nmessage=off\n[logging]\nchlog=false\n",
		a.resource)
	if err := os.WriteFile(filepath.Join(conf, "profrc"), []byte(rc), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command("tmux", "-S", p.socket, "new-session", "-d", "-x", "200", "-y", "200",
		"env", "HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"), "XDG_DATA_HOME="+filepath.Join(home, ".local"), "LC_ALL=C.UTF-8", "profanity", "-l", "DEBUG")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("tmux: %v: %s", err, out)
	}
	if err := p.wait("Profanity|profanity"); err != nil {
		return nil, err
	}
	p.keys(fmt.Sprintf("/connect %s server %s port %s tls %s", a.bare(), host, port, policy))
	if err := p.wait("Enter password"); err != nil {
		return nil, err
	}
	p.keys(a.password)
	if err := p.allow(a.ca); err != nil {
		return nil, err
	}
	if err := p.wait(`logged in successfully`); err != nil {
		return nil, err
	}
	say("ready", a.bare())
	go p.watch()
	return p, nil
}

// allow does what README says: it compares the fingerprint that profanity shows with the one of the server's file.
func (p *profanity) allow(ca string) error {
	if err := p.wait("Use '/tls deny'"); err != nil {
		return err
	}
	data, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(data)
	want := fmt.Sprintf("%x", sha1.Sum(block.Bytes))
	if !strings.Contains(p.screen(), want) {
		return fmt.Errorf("profanity was shown another certificate than that of %s (%s)\n%s", ca, want, p.screen())
	}
	p.keys("/tls allow")
	return nil
}

func (p *profanity) tmux(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-S", p.socket}, args...)...).CombinedOutput()
	return string(out), err
}

func (p *profanity) keys(line string) {
	p.tmux("send-keys", "-l", line)
	time.Sleep(100 * time.Millisecond) // the terminal program reads one key at a time
	p.tmux("send-keys", "Enter")
}

func (p *profanity) screen() string {
	out, _ := p.tmux("capture-pane", "-p")
	return out
}

// wait looks at the screen until it shows the pattern.
func (p *profanity) wait(pattern string) error {
	re := regexp.MustCompile(pattern)
	for end := time.Now().Add(wait); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if re.MatchString(p.screen()) {
			return nil
		}
	}
	return fmt.Errorf("profanity does not show %q but\n%s", pattern, strings.TrimSpace(p.screen()))
}

var (
	seenMessage  = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d - ([^\s:]+): (.*?)\s*$`)
	seenWindow   = regexp.MustCompile(`<< chat message: \S+ \(win (\d+)\)`)
	seenRequest  = regexp.MustCompile(`Received authorization request from (\S+)`)
	seenGranted  = regexp.MustCompile(`Subscription received from (\S+)`)
	seenSubject  = regexp.MustCompile(`(?mi)room subject: (.*?)\s*$`)
	seenJoined   = regexp.MustCompile(`You have joined the room as (\S+?)[,.\s]`)
	seenPresence = regexp.MustCompile(`(\+|-|\*)\s+(\S+@\S+).*? (?:is )?(online|away|xa|dnd|chat|offline)`)
)

// watch turns what the screen shows into events, each once.
func (p *profanity) watch() {
	seen := map[string]bool{}
	once := func(key string, words ...string) {
		if !seen[key] {
			seen[key] = true
			p.say(words...)
		}
	}
	for {
		select {
		case <-p.stop:
			return
		case <-time.After(200 * time.Millisecond):
		}
		s := p.screen()
		for _, m := range seenMessage.FindAllStringSubmatch(s, -1) {
			once(m[0], "message", m[1], m[2])
		}
		for _, m := range seenSubject.FindAllStringSubmatch(s, -1) {
			once(m[0], "subject", m[1])
		}
		for _, m := range seenJoined.FindAllStringSubmatch(s, -1) {
			once(m[0], "joined", m[1])
		}
		for _, m := range seenGranted.FindAllStringSubmatch(s, -1) {
			once(m[0], "subscribed", m[1])
		}
		for _, m := range seenPresence.FindAllStringSubmatch(s, -1) {
			once(m[0], "presence", m[2], m[3])
		}
		for _, m := range seenWindow.FindAllStringSubmatch(s, -1) {
			if !seen[m[0]] {
				seen[m[0]] = true
				p.keys("/win " + m[1])
			}
		}
		for _, m := range seenRequest.FindAllStringSubmatch(s, -1) {
			if !seen[m[0]] {
				seen[m[0]] = true
				p.keys("/sub allow " + m[1])
			}
		}
	}
}

func (p *profanity) Do(cmd string, args ...string) error {
	switch cmd {
	case "subscribe":
		p.keys("/sub request " + args[0])
	case "chat":
		p.keys("/msg " + args[0] + " " + args[1])
		time.Sleep(300 * time.Millisecond)
	case "join":
		p.keys("/join " + args[0] + " nick " + args[1])
	case "say": // in the window of the room, where it is since it has joined
		p.keys(args[1])
	case "show":
		p.keys("/status set " + args[0])
	case "quit":
		close(p.stop)
		p.keys("/quit")
		time.Sleep(300 * time.Millisecond)
		p.tmux("kill-server")
		os.RemoveAll(filepath.Dir(p.socket))
	}
	return nil
}
