package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"syscall"

	"github.com/xmppd/xmppd/config"
)

// listeners are the open listening sockets, by what the configuration says, such as "c2s.listen [::]:5222".
type listeners struct {
	log *slog.Logger

	mu   sync.Mutex
	to   map[string]acceptor // by side, c2s and s2s; nil until serve: until then connections wait in the backlog
	open map[string]*listener
	wg   sync.WaitGroup
}

type listener struct {
	net.Listener
	option string // such as c2s.listen_tls
}

// acceptor is who takes what a socket brings.
type acceptor interface {
	Serve(l net.Listener, direct bool) error
}

// wanted lists the sockets that a configuration wants.
func wanted(cfg *config.Config) map[string]listener {
	w := map[string]listener{}
	for option, addrs := range map[string][]string{
		"c2s.listen": cfg.C2S.Listen, "c2s.listen_tls": cfg.C2S.ListenTLS,
		"s2s.listen": cfg.S2S.Listen, "s2s.listen_tls": cfg.S2S.ListenTLS,
	} {
		for _, a := range addrs {
			w[option+" "+a] = listener{option: option}
		}
	}
	return w
}

// apply opens what is wanted and not open, then closes what is open and not wanted. If one cannot be opened, nothing
// changes and the error names all that could not.
func (ls *listeners) apply(cfg *config.Config) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	want := wanted(cfg)
	fresh := map[string]*listener{}
	var errs []error
	for key, w := range want {
		if ls.open[key] != nil {
			continue
		}
		_, addr, _ := strings.Cut(key, " ")
		l, err := listenOn(addr)
		if errors.Is(err, errNoIPv6) {
			ls.log.Warn("this machine has no IPv6, so nothing listens there", "option", w.option, "address", addr)
			continue
		}
		if err != nil {
			errs = append(errs, listenError(w.option, addr, err))
			continue
		}
		fresh[key] = &listener{Listener: l, option: w.option}
	}
	if len(errs) > 0 {
		for _, l := range fresh {
			l.Close()
		}
		return errors.Join(errs...)
	}
	for key, l := range ls.open {
		if _, ok := want[key]; !ok {
			l.Close()
			delete(ls.open, key)
		}
	}
	for key, l := range fresh {
		ls.open[key] = l
		if ls.to != nil {
			ls.accept(l)
		}
	}
	return nil
}

// serve begins to accept connections.
func (ls *listeners) serve(to map[string]acceptor) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.to = to
	for _, l := range ls.open {
		ls.accept(l)
	}
}

// accept serves a socket until it is closed. The caller holds mu.
func (ls *listeners) accept(l *listener) {
	side, option, _ := strings.Cut(l.option, ".")
	s := ls.to[side]
	ls.wg.Go(func() { s.Serve(l.Listener, option == "listen_tls") })
}

// close closes all sockets.
func (ls *listeners) close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.open {
		l.Close()
	}
}

// errNoIPv6 says that an IPv6 address cannot be had because the machine does without IPv6.
var errNoIPv6 = errors.New("no IPv6")

// listenOn opens a socket. Where there is no IPv6, "[::]", the default, means all that there is, and the loopback address of
// IPv6 is no loss; any other address must be one of the machine's.
func listenOn(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		return l, nil
	}
	host, port, _ := net.SplitHostPort(addr)
	switch {
	case host == "::" && errors.Is(err, syscall.EAFNOSUPPORT):
		return net.Listen("tcp", net.JoinHostPort("0.0.0.0", port))
	case host == "::1" && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)):
		return nil, errNoIPv6
	}
	return nil, err
}

// own returns the addresses of the sockets for other servers.
func (ls *listeners) own() (out []net.Addr) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, l := range ls.open {
		if strings.HasPrefix(l.option, "s2s.") {
			out = append(out, l.Addr())
		}
	}
	return out
}

// addrs returns the addresses of an option's sockets, with the ports that the system picked.
func (ls *listeners) addrs(option string, order []string) []string {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	out := []string{}
	for _, a := range order {
		if l := ls.open[option+" "+a]; l != nil {
			out = append(out, l.Addr().String())
		}
	}
	return out
}

// listenError says what to do about a port that cannot be opened.
func listenError(option, addr string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: %s is in use by another program (`ss -ltnp` shows which); stop it, or choose another address", option, addr)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: this user may not listen on %s; ports below 1024 need CAP_NET_BIND_SERVICE", option, addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine has no address %s", option, addr)
	}
	return fmt.Errorf("%s: %w", option, err)
}
