package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

const hidden = "JYXEX4IQOEYFYQ2S3MC5P4ZT4SDHYEA7"

// TestNothingPrints tries the ways in which secrets get into logs and answers.
func TestNothingPrints(t *testing.T) {
	type exported struct {
		Text Text
		Key  Key
		List []Text
	}
	type private struct {
		text Text
		key  Key
		in   exported
	}
	text, key := NewText(hidden), NewKey([]byte(hidden))
	e := exported{text, key, []Text{text}}
	p := private{text, key, e}
	for _, v := range []any{text, &text, key, &key, e, &e, p, &p, []any{text, key}, map[string]any{"x": p}} {
		var said strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U"} {
			fmt.Fprintf(&said, verb+"\n", v)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&said, nil), slog.NewJSONHandler(&said, nil)} {
			slog.New(h).Info("m", "v", v, slog.Group("g", "v", v))
		}
		if b, err := json.Marshal(v); err == nil {
			said.Write(b)
		}
		for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprint([]byte(hidden)), hidden[:8]} {
			if strings.Contains(said.String(), form) {
				t.Errorf("%T prints %q:\n%s", v, form, said.String())
			}
		}
	}
	if got := fmt.Sprint(text, key) + text.GoString() + key.GoString(); got != strings.Repeat(redacted, 2)[:10]+" "+strings.Repeat(redacted, 3) {
		t.Errorf("printed as %q", got)
	}
}

func TestText(t *testing.T) {
	var e struct {
		Text Text `json:"text,omitzero"`
	}
	if b, err := json.Marshal(e); err != nil || string(b) != "{}" || !e.Text.IsZero() || e.Text.String() != "" {
		t.Errorf("an empty one: %s, %v", b, err)
	}
	if err := json.Unmarshal([]byte(`{"text":"`+hidden+`"}`), &e); err != nil || e.Text.Reveal() != hidden {
		t.Errorf("not read: %v", err)
	}
	if b, err := json.Marshal(e); err != nil || string(b) != `{"text":"[redacted]"}` {
		t.Errorf("written as %s, %v", b, err)
	}
	if NewText("").Reveal() != "" || !NewText("").IsZero() {
		t.Error("an empty text is none")
	}
}

func TestLock(t *testing.T) {
	for _, size := range []int{0, 1, 32, 2048, 5000} {
		b := bytes.Repeat([]byte{7}, size)
		k, err := Lock(b)
		if !bytes.Equal(k.Bytes(), bytes.Repeat([]byte{7}, size)) || cap(k.Bytes()) != size {
			t.Errorf("%d bytes have become %d", size, len(k.Bytes()))
		}
		if !bytes.Equal(b, make([]byte, size)) {
			t.Error("they are still where they were")
		}
		if err != nil && strings.Contains(err.Error(), "7") {
			t.Errorf("the error: %v", err)
		}
	}
	if (Key{}).Bytes() != nil {
		t.Error("no key has bytes")
	}
}
