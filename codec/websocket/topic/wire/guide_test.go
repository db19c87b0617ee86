package wire

import (
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestEventsInGuide: the guide has the examples that are tested here.
func TestEventsInGuide(t *testing.T) {
	guide, err := os.ReadFile("../../../../docs/topics.md")
	if err != nil {
		t.Fatal(err)
	}
	has := func(name, json, binary string) {
		digits := make([]string, 0, len(binary))
		for _, b := range []byte(binary) {
			digits = append(digits, hex.EncodeToString([]byte{b}))
		}
		for _, want := range []string{json, strings.Join(digits, " ")} {
			if !strings.Contains(string(guide), "`"+want+"`") {
				t.Errorf("%s: no `%s`", name, want)
			}
		}
	}
	for _, r := range requests {
		has(r.name, r.json, r.binary)
	}
	for _, e := range events() {
		if slices.Contains([]string{"subscribed", "text", "bytes", "gap", "gap to the end", "more members",
			"joined", "left", "published", "error", "pong"}, e.Name) {
			b, _ := hex.DecodeString(e.Binary)
			has(e.Name, e.JSON, string(b))
		}
	}
}
