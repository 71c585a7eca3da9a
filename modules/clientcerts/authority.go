package clientcerts

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// maxCAFile bounds client_ca_file: the bundle of a whole system has a quarter of it.
const maxCAFile = 1 << 20

// authorities are the certificates of client_ca_file. The file is read again when it has changed: an authority that is
// struck out of it vouches for nobody any more.
type authorities struct {
	file string
	log  *slog.Logger

	mu    sync.Mutex
	pool  *x509.CertPool
	mtime time.Time
	size  int64
}

func openAuthorities(file string, log *slog.Logger) (*authorities, error) {
	a := &authorities{file: file, log: log}
	return a, a.read()
}

// read reads the file; a.mu is held or nobody else knows a yet.
func (a *authorities) read() error {
	f, err := os.Open(a.file)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxCAFile+1))
	if err != nil {
		return err
	}
	a.mtime, a.size = st.ModTime(), st.Size()
	if len(b) > maxCAFile {
		return fmt.Errorf("%s is larger than %d bytes", a.file, maxCAFile)
	}
	pool := x509.NewCertPool()
	n := 0
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("%s: certificate %d cannot be read", a.file, n+1)
		}
		pool.AddCert(c)
		n++
	}
	if n == 0 {
		return fmt.Errorf("%s has no certificate in PEM", a.file)
	}
	a.pool = pool
	return nil
}

// current returns the authorities in force.
func (a *authorities) current() *x509.CertPool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if st, err := os.Stat(a.file); err == nil && (!st.ModTime().Equal(a.mtime) || st.Size() != a.size) {
		if err := a.read(); err != nil {
			a.log.Error("client_ca_file cannot be read, the authorities stay as they were", "err", err)
		}
	}
	return a.pool
}

var errNoAuthority = errors.New("no authority of client_ca_file vouches for it")

// verify tells whether an authority vouches for a certificate, by way of the others that the client showed.
func (a *authorities) verify(leaf *x509.Certificate, shown []*x509.Certificate, now time.Time) error {
	if a == nil {
		return errNoAuthority
	}
	if _, err := addresses(leaf); err != nil {
		return err
	}
	// Package x509 does not know otherName, and so calls a critical subjectAltName that holds nothing else unhandled. It has
	// just been handled.
	own := *leaf
	own.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), oidSubjectAltName.Equal)
	between := x509.NewCertPool()
	for _, c := range shown {
		between.AddCert(c)
	}
	_, err := own.Verify(x509.VerifyOptions{
		Roots: a.current(), Intermediates: between, CurrentTime: now,
		// Public authorities issue certificates for clients no longer; one for servers is as good a name.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return errNoAuthority
	}
	return nil
}
