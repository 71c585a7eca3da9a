package xtest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nobody is a user without rights, for tests that run as root.
const Nobody = 65534

// Unprivileged returns how to run a command as a user whom modes of files stop: as oneself, or as nobody where the tests
// run as root. The directories are made passable for it, and belong to it from then on.
func Unprivileged(t testing.TB, own ...string) *syscall.SysProcAttr {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	pass := []string{filepath.Dir(Binary(t))}
	for _, d := range own {
		if err := os.Chown(d, Nobody, Nobody); err != nil {
			t.Fatal(err)
		}
		pass = append(pass, filepath.Dir(d))
	}
	for _, d := range pass {
		if err := os.Chmod(d, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: Nobody, Gid: Nobody}}
}

// StartUnready starts the server and does not wait for anything; Kill ends it.
func (s *Server) StartUnready() {
	s.t.Helper()
	s.cmd = exec.Command(Binary(s.t), "serve", "-config", s.Config)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		s.waitErr = cmd.Wait()
		close(exited)
	}(s.cmd, s.exited)
}

// Serve runs `xmppd serve` until it exits by itself, or is ready, which ends it. It returns its log and how it exited; ready
// servers exit with 0.
func (s *Server) Serve(t testing.TB, as *syscall.SysProcAttr) (stderr string, code int, ready bool) {
	t.Helper()
	cmd := exec.Command(Binary(t), "serve", "-config", s.Config)
	cmd.SysProcAttr = as
	cmd.Env = append(os.Environ(), raceOptions)
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(Wait, func() { cmd.Process.Kill() })
	defer kill.Stop()
	var log bytes.Buffer
	sc := bufio.NewScanner(pipe)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		log.Write(sc.Bytes())
		log.WriteByte('\n')
		if strings.Contains(sc.Text(), `"msg":"ready"`) {
			ready = true
			cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	cmd.Wait()
	if cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("the server neither started nor exited: %v\n%s", cmd.ProcessState, log.String())
	}
	return log.String(), cmd.ProcessState.ExitCode(), ready
}

// XmppdAs is Xmppd as another user.
func XmppdAs(t testing.TB, as *syscall.SysProcAttr, env []string, dir, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(Binary(t), args...)
	cmd.SysProcAttr, cmd.Dir = as, dir
	cmd.Env = append(append(os.Environ(), raceOptions), env...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(Wait, func() { cmd.Process.Kill() })
	defer kill.Stop()
	cmd.Wait()
	if cmd.ProcessState.ExitCode() < 0 {
		t.Fatalf("xmppd %q did not exit: %v\n%s%s", args, cmd.ProcessState, out.String(), errs.String())
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// Listing describes all that lies in a directory: names, modes, sizes and contents. Lock files are named only: they hold
// the number of the last process.
func Listing(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %s", fi.Mode(), rel)
		if fi.Mode().IsRegular() && !strings.HasSuffix(rel, ".lock") {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d bytes %x", len(data), sha256.Sum256(data))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Tmpfs mounts a small disk of its own; without the right to do so it skips the test.
func Tmpfs(t testing.TB, dir, options string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a file system")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Mount(dir, options); err != nil {
		t.Skipf("needs the right to mount a file system: %v", err)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
}

// Mount mounts a tmpfs, or changes the options of one that is mounted ("remount,…").
func Mount(dir, options string) error {
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "none", dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}
