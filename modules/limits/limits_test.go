package limits

import (
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stream"
)

// announced writes the features of a stream in a state.
func announced(h *modtest.Host, s stream.State) string {
	var b []byte
	for _, f := range h.Table().Features {
		if s&f.Need == f.Need && s&f.Exclude == 0 {
			b = f.Append(b, nil)
		}
	}
	return string(b)
}

func TestLimits(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	const before = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes><idle-seconds>60</idle-seconds></limits>"
	const after = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>900</idle-seconds></limits>"
	if got := announced(h, stream.Secure); got != before {
		t.Errorf("before login %s", got)
	}
	if got := announced(h, stream.Secure|stream.Authenticated); got != after {
		t.Errorf("after login %s", got)
	}
	// Changed limits are announced without a restart of the module.
	if err := h.Reload("[limits]\nstanza_size_c2s = \"100KiB\"\nidle_timeout_c2s = \"20m\"\n"); err != nil {
		t.Fatal(err)
	}
	const changed = "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>102400</max-bytes><idle-seconds>1200</idle-seconds></limits>"
	if got := announced(h, stream.Authenticated); got != changed {
		t.Errorf("after a change %s", got)
	}
	if got, want := string(announce(nil, 0, 0)), "<limits xmlns='urn:xmpp:stream-limits:0'></limits>"; got != want {
		t.Errorf("without limits %s", got)
	}
}
