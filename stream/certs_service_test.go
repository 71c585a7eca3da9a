package stream

import (
	"bytes"
	"encoding/pem"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

var conference = []Service{{"conference.a.test", "a.test"}}

// TestServiceCertificate: which certificate a service has, asked for by SNI, shown on a stream to it, and shown by it.
func TestServiceCertificate(t *testing.T) {
	type file struct {
		name  string
		names []string
	}
	one := func(name string, names ...string) file { return file{name, names} }
	for _, tt := range []struct {
		name    string
		files   []file
		want    string // which file
		problem string // a part of it
	}{
		{"its own", []file{one("a.test", "a.test"), one("conference.a.test", "conference.a.test")}, "conference.a.test", ""},
		{"its own, though the host's would do", []file{one("a.test", "*.a.test", "a.test"), one("conference.a.test", "conference.a.test")}, "conference.a.test", ""},
		{"the host's names it", []file{one("a.test", "a.test", "conference.a.test")}, "a.test", ""},
		{"the host's has a wildcard", []file{one("a.test", "a.test", "*.a.test")}, "a.test", ""},
		{"another one covers it", []file{one("a.test", "a.test"), one("all", "*.a.test")}, "all", ""},
		{"none covers it", []file{one("a.test", "a.test"), one("b.test", "b.test")}, "a.test",
			"it is that of a.test and does not cover conference.a.test: other servers that want valid certificates refuse to talk to this service. Have the name added to the certificate, or put conference.a.test.crt and conference.a.test.key into "},
		{"its own has another name", []file{one("a.test", "a.test"), one("conference.a.test", "rooms.a.test")}, "a.test", "it does not cover the host, only rooms.a.test"},
		{"its own has another name, the host's covers it", []file{one("a.test", "a.test", "*.a.test"), one("conference.a.test", "rooms.a.test")}, "a.test", "it does not cover the host, only rooms.a.test"},
	} {
		dir := t.TempDir()
		for _, f := range tt.files {
			save(t, testCert(t, nil, nil, f.names...), dir+"/"+f.name+".crt", dir+"/"+f.name+".key")
		}
		o := CertOptions{Dir: dir, Hosts: []string{"a.test"}, Services: conference, Log: quiet, SelfSigned: true, MadeDir: dir + "/made"}
		found, err := FindService(o, conference[0])
		s, err2 := OpenCertificates(o)
		if err != nil || err2 != nil {
			t.Fatalf("%s: %v, %v", tt.name, err, err2)
		}
		want := s.Of("conference.a.test").Certificate[0]
		file, _ := os.ReadFile(dir + "/" + tt.want + ".crt")
		if !bytes.Equal(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: want}), file) {
			t.Errorf("%s: not that of %s", tt.name, tt.want)
		}
		for host, sni := range map[string]string{"": "conference.a.test", "conference.a.test": "", "a.test": "Conference.A.test"} {
			if !bytes.Equal(shown(t, s, host, sni), want) {
				t.Errorf("%s: a stream to %q with SNI %q is shown another one", tt.name, host, sni)
			}
		}
		if !bytes.Equal(shown(t, s, "a.test", ""), s.Of("a.test").Certificate[0]) || !strings.HasSuffix(s.List()[0].File, "/a.test.crt") || len(s.List()) != 1 {
			t.Errorf("%s: the host has another one", tt.name)
		}
		if len(found.Chain) == 0 || !bytes.Equal(found.Chain[0].Raw, want) || found.File != dir+"/"+tt.want+".crt" || found.Own != (tt.want != "a.test") || found.Generated {
			t.Errorf("%s: found %s, own %v, made %v", tt.name, found.File, found.Own, found.Generated)
		}
		for _, problems := range [][]CertProblem{s.Problems(), found.Problems} {
			switch {
			case tt.problem == "" && len(problems) == 0:
			case len(problems) != 1 || tt.problem == "" || !strings.Contains(problems[0].Text, tt.problem) || !problems[0].Warning || problems[0].Host != "conference.a.test":
				t.Errorf("%s: %v, want %q", tt.name, problems, tt.problem)
			}
		}
		o.ServicesUnseen = true
		if err := s.Reload(o); err != nil || strings.Contains(tt.problem, "other servers") && len(s.Problems()) > 0 {
			t.Errorf("%s: where nobody connects: %v %v", tt.name, err, s.Problems())
		}
		if _, err := os.Stat(dir + "/made"); err == nil {
			t.Errorf("%s: a certificate was made", tt.name)
		}
	}
}

// What the server made for a host stays as it is when a service comes: clients may know it by heart. The service has its own.
func TestServiceSelfSigned(t *testing.T) {
	dir := t.TempDir()
	o := CertOptions{SelfSigned: true, MadeDir: dir, Hosts: []string{"a.test"}, Log: quiet}
	s, err := OpenCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	host := s.Of("a.test").Certificate[0]
	o.Services = conference
	found, err := FindService(o, conference[0])
	if err != nil || len(found.Chain) != 0 || len(found.Problems) != 0 {
		t.Errorf("before: %+v %v", found, err)
	}
	if err := s.Reload(o); err != nil || len(s.Problems()) != 0 {
		t.Fatal(err, s.Problems())
	}
	own := s.Of("conference.a.test")
	if !bytes.Equal(s.Of("a.test").Certificate[0], host) || own.Leaf.VerifyHostname("conference.a.test") != nil || own.Leaf.VerifyHostname("a.test") == nil {
		t.Error("not one for each")
	}
	if found, err = FindService(o, conference[0]); err != nil || !found.Own || !found.Generated || found.File != dir+"/conference.a.test.crt" {
		t.Errorf("after: %+v %v", found, err)
	}
	if s, err = OpenCertificates(o); err != nil || !bytes.Equal(s.Of("conference.a.test").Certificate[0], own.Certificate[0]) {
		t.Errorf("a restart makes another one: %v", err)
	}
	o.Services = nil
	if err := s.Reload(o); err != nil || s.Of("conference.a.test") != nil {
		t.Error("there is one for a service that is no more", err)
	}
	// Where it cannot be made the service has the host's, and the server runs.
	if err := os.WriteFile(dir+"/irc.a.test.key", []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	os.Chmod(dir+"/irc.a.test.key", 0o666)
	o.Services = []Service{{"irc.a.test", "a.test"}}
	if err := s.Reload(o); err != nil || len(s.Problems()) != 1 || !s.Problems()[0].Warning || !bytes.Equal(s.Of("irc.a.test").Certificate[0], host) {
		t.Errorf("%v %v", err, s.Problems())
	}
}

// A new file is taken up; one with a mistake leaves the old one in use; what was told once is not told again.
func TestServiceReread(t *testing.T) {
	dir := t.TempDir()
	save(t, testCert(t, nil, nil, "a.test"), dir+"/a.test.crt", dir+"/a.test.key")
	var log bytes.Buffer
	s, err := OpenCertificates(CertOptions{Dir: dir, Hosts: []string{"a.test"}, Services: conference, Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil || len(s.Problems()) != 1 {
		t.Fatal(err, s.Problems())
	}
	now := time.Now()
	again := func() { now = now.Add(rereadEvery + time.Minute); s.refresh(now) }
	if again(); log.Len() != 0 {
		t.Errorf("told again:\n%s", &log)
	}
	mine := testCert(t, nil, nil, "conference.a.test")
	save(t, mine, dir+"/conference.a.test.crt", dir+"/conference.a.test.key")
	if again(); !bytes.Equal(s.Of("conference.a.test").Certificate[0], mine.Certificate[0]) || len(s.Problems()) != 0 {
		t.Errorf("not taken up: %v", s.Problems())
	}
	log.Reset()
	if err := os.WriteFile(dir+"/conference.a.test.crt", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if again(); !bytes.Equal(s.Of("conference.a.test").Certificate[0], mine.Certificate[0]) || !strings.Contains(log.String(), "host=conference.a.test") {
		t.Errorf("the old one is not in use, or nothing was said:\n%s", &log)
	}
	for _, end := range []string{"crt", "key"} {
		if err := os.Remove(dir + "/conference.a.test." + end); err != nil {
			t.Fatal(err)
		}
	}
	log.Reset()
	if again(); !bytes.Equal(s.Of("conference.a.test").Certificate[0], s.Of("a.test").Certificate[0]) || !strings.Contains(log.String(), "does not cover conference.a.test") {
		t.Errorf("the host's is not in use, or nothing was said:\n%s", &log)
	}
}
