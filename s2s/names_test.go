package s2s

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/xmppd/xmppd/stanza"
)

func TestOtherNames(t *testing.T) {
	long := strings.Repeat("a.", 600) + "test"
	for _, test := range []struct {
		name   string
		others []otherName
		dns    []string
		want   string
	}{
		{"none", nil, []string{"a.test"}, "[] []"},
		{"both, in any order", []otherName{xmppAddr("a.test"), srvName("_xmpp-server.b.test"), xmppAddr("c.test")}, []string{"d.test"}, "[b.test] [a.test c.test]"},
		{"an unknown one between", []otherName{xmppAddr("a.test"), {[]int{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}, cryptoasn1.UTF8String, "me@ad.test"}, srvName("_xmpp-server.b.test")}, nil, "[b.test] [a.test]"},
		{"not ASCII in an IA5String", []otherName{{oidXMPPAddr, cryptoasn1.IA5String, "bücher.test"}}, nil, "[] []"},
		{"not UTF-8", []otherName{xmppAddr("a\xff.test")}, nil, "[] []"},
		{"a NUL", []otherName{xmppAddr("a.test\x00.b.test"), srvName("_xmpp-server.a.test\x00")}, nil, "[a.test\x00] []"},
		{"too long", []otherName{xmppAddr(long), srvName("_xmpp-server." + long)}, nil, "[] []"},
		{"empty", []otherName{xmppAddr(""), srvName("_xmpp-server.")}, nil, "[] []"},
	} {
		srv, xmpp, err := otherNames(altName(t, false, test.others, test.dns...).Value)
		if got := fmt.Sprintf("%v %v", srv, xmpp); len(srv)+len(xmpp) != len(strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(test.want))) || err != nil || got != test.want {
			t.Errorf("%s: %q, %v, want %q", test.name, got, err, test.want)
		}
	}
	good := altName(t, false, []otherName{xmppAddr("a.test")}).Value
	for i := range good {
		if _, _, err := otherNames(good[:i]); err == nil {
			t.Errorf("the first %d bytes count as a whole", i)
		}
	}
	if _, _, err := otherNames(append(slices.Clone(good), 0)); err == nil {
		t.Error("a byte too many")
	}
	many := make([]otherName, maxNames+10)
	for i := range many {
		many[i] = xmppAddr(fmt.Sprintf("a%d.test", i))
	}
	if _, xmpp, err := otherNames(altName(t, false, many).Value); err != nil || len(xmpp) != maxNames {
		t.Errorf("%d names of %d, %v", len(xmpp), len(many), err)
	}
}

func TestMatches(t *testing.T) {
	for _, line := range []string{
		"a.test a.test yes", "A.Test a.test yes", "a.test. a.test yes", "a.test b.test no", "a.test x.a.test no", "x.a.test a.test no",
		"*.test a.test yes", "*.TEST a.test yes", "*.test a.b.test no", "*.test test no", "*. a. no", "* a no", "*.* a.test no",
		"*a.test aa.test no", "a*.test aa.test no", "a.*.test a.b.test no", "*.a.test *.a.test yes", "test\x00 test no",
	} {
		f := strings.Fields(line)
		if got := matches(f[0], f[1]); got != (f[2] == "yes") {
			t.Errorf("%q: %v", line, got)
		}
	}
}

// FuzzOtherNames: no bytes make it fall over, and what it finds is a domain.
func FuzzOtherNames(f *testing.F) {
	f.Add(altName(f, false, []otherName{xmppAddr("a.test"), srvName("_xmpp-server.b.test")}, "c.test").Value)
	f.Add(altName(f, false, []otherName{{oidXMPPAddr, cryptoasn1.IA5String, "xn--bcher-kva.test"}}).Value)
	f.Add(altName(f, true, nil, "*.a.test").Value)
	f.Add([]byte{0x30, 0x80, 0xa0, 0x84, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, der []byte) {
		srv, xmpp, err := otherNames(der)
		if err != nil && len(srv)+len(xmpp) > 0 {
			t.Error("names of what cannot be read")
		}
		for _, d := range xmpp {
			if j, err := stanza.ParseJID(d); err != nil || j.String() != d || j.Local() != "" || j.Resource() != "" {
				t.Errorf("%q is no prepared domain", d)
			}
		}
		n := names{srv: srv, xmpp: xmpp}
		n.describe()
		for _, d := range srv {
			if len(d) > len(srvPrefix)+maxAddress {
				t.Errorf("%d bytes", len(d))
			}
		}
	})
}
