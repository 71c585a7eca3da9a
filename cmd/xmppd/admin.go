package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/xmppd/xmppd/config"
)

// socketName is the admin socket in the data directory: HTTP with JSON for who may write there, which is the server's own
// user (mode 0600 in a directory of mode 0700).
const socketName = "xmppd.sock"

// socketAddr names the socket by a path that fits into the 108 bytes of a Unix address however deep the data directory
// lies; close must be called when the address is no longer needed.
func socketAddr(dataDir string) (addr string, close func(), err error) {
	p := filepath.Join(dataDir, socketName)
	if len(p) < 100 {
		return p, func() {}, nil
	}
	d, err := os.Open(dataDir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName), func() { d.Close() }, nil
}

// listenAdmin serves the admin API on the socket. The database's lock is ours, so a socket that lies there is stale.
func listenAdmin(dataDir string, h http.Handler, log *slog.Logger) (stop func(), err error) {
	addr, done, err := socketAddr(dataDir)
	if err != nil {
		return nil, err
	}
	defer done()
	os.Remove(addr)
	l, err := net.Listen("unix", addr)
	if err != nil {
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // by our own path: addr may be gone by then
	if err := os.Chmod(addr, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)}
	go srv.Serve(l)
	return func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if srv.Shutdown(ctx) != nil {
			srv.Close() // a backup that nobody takes would hold up the end of the database
		}
		os.Remove(filepath.Join(dataDir, socketName))
	}, nil
}

// admin is how a command reaches the server: over the socket where one runs, else in this process, on a server without
// listeners that it opened for itself. The handlers are the same.
type admin struct {
	http   *http.Client
	local  http.Handler
	server *server // opened by us; nil when one runs
}

// errNotRunning says that no server has the data directory of the configuration.
type errNotRunning struct{ file, dir string }

func (e errNotRunning) Error() string {
	return fmt.Sprintf("no server is running with %s (nobody answers in %s)", e.file, e.dir)
}

// dialServer finds the running server.
func (c *call) dialServer(ctx context.Context) (*admin, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil, err
	}
	return dialRunning(ctx, cfg)
}

func dialRunning(ctx context.Context, cfg *config.Config) (*admin, error) {
	dir := cfg.Resolve(cfg.General.DataDir)
	conn, err := dialSocket(ctx, dir)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("a server may be running in %s, but its admin socket is not for this user: run xmppd as the user that owns %s", dir, dir)
	}
	if err != nil {
		return nil, errNotRunning{cfg.Path, dir}
	}
	conn.Close()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialSocket(ctx, dir) }}
	return &admin{http: &http.Client{Transport: tr}}, nil
}

// dialAdmin finds the running server, or opens the storage itself.
func (c *call) dialAdmin(ctx context.Context) (*admin, error) {
	cfg, err := c.loadConfig()
	if err != nil {
		return nil, err
	}
	a, err := dialRunning(ctx, cfg)
	if !errors.As(err, new(errNotRunning)) {
		return a, err
	}
	if cfg.Storage.Driver == "memory" {
		return nil, errors.New("no server is running, and storage.driver = \"memory\" keeps nothing without one")
	}
	srv, err := newServer(ctx, cfg, slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, err
	}
	return &admin{local: srv.adminAPI(), server: srv}, nil
}

func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	addr, done, err := socketAddr(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", addr)
}

// Close ends the connection, or closes the storage.
func (a *admin) Close() error {
	if a.server != nil {
		return a.server.close(context.Background())
	}
	a.http.CloseIdleConnections()
	return nil
}

// call makes one request; in and out are JSON or nil. The error of the server comes back as it is.
func (a *admin) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://xmppd"+path, &body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	var status int
	var answer io.Reader
	if a.local != nil {
		rec := &recorder{header: http.Header{}, status: 200}
		a.local.ServeHTTP(rec, req)
		status, answer = rec.status, &rec.body
	} else {
		res, err := a.http.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		status, answer = res.StatusCode, res.Body
	}
	if status >= 300 {
		return refusal(status, answer)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(answer).Decode(out)
}

// refusal reads the error that a server answered with.
func refusal(status int, answer io.Reader) error {
	var e struct{ Error string }
	if err := json.NewDecoder(answer).Decode(&e); err != nil || e.Error == "" {
		return fmt.Errorf("the server answered %d", status)
	}
	return errors.New(e.Error)
}

// fetch writes the answer of a running server to a GET, which is no JSON and may be long, and returns its head.
func (a *admin) fetch(ctx context.Context, path string, w io.Writer) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", "http://xmppd"+path, nil)
	if err != nil {
		return nil, err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		return nil, refusal(res.StatusCode, res.Body)
	}
	_, err = io.Copy(w, res.Body)
	return res.Header, err
}

// recorder takes an answer in this process.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(s int)           { r.status = s }
