package test

import (
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestScenarios runs the conversations in scenarios/ against one running server, each with accounts of its own.
func TestScenarios(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`})
	for _, dir := range []string{"delivery", "subscription", "presence", "roster"} {
		t.Run(dir, func(t *testing.T) { xtest.RunScenarios(t, s, "scenarios/"+dir+"/*.txt") })
	}
}
