package interop

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// processBot is a client in a process of its own that speaks the bots' line protocol.
type processBot struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

// startProcess starts a bot program; what it says goes to say.
func startProcess(say func(...string), env []string, name string, args ...string) (bot, error) {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			say(strings.Split(sc.Text(), "\t")...)
		}
		cmd.Wait()
	}()
	return &processBot{cmd, in}, nil
}

func (p *processBot) Do(cmd string, args ...string) error {
	_, err := fmt.Fprintln(p.in, strings.Join(append([]string{cmd}, args...), "\t"))
	if cmd == "quit" {
		p.in.Close()
	}
	return err
}

// startSlixmpp logs in with slixmpp, in the Python that $XMPPD_PYTHON names.
func startSlixmpp(a account, say func(...string)) (bot, error) {
	python := os.Getenv("XMPPD_PYTHON")
	if python == "" {
		python = "python3"
	}
	return startProcess(say, nil, python, "bot.py", a.jid, a.password, a.addr, a.mode(), a.ca, a.mech)
}

// startXMPPJS logs in with @xmpp/client.
func startXMPPJS(a account, say func(...string)) (bot, error) {
	// Node is told the port by an address of the certificate's: it verifies the name that it connects to.
	_, port, _ := strings.Cut(a.addr, ":")
	return startProcess(say, append([]string{"NODE_EXTRA_CA_CERTS=" + a.ca}, a.env...), "node", "js/bot.js", a.jid, a.password, "localhost:"+port, a.mode())
}
