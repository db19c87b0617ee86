package tlslayer

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"testing"
)

// TestFIPS runs echoes again in FIPS 140 mode, where crypto/tls does the records: GCM has to choose
// its own nonces there.
func TestFIPS(t *testing.T) {
	if !fips140.Enabled() {
		again := "^(TestFIPS|TestEcho)$/^(TLS|pieces$)"
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", again)
		cmd.Env = append(os.Environ(), "GODEBUG=fips140=on")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if l, err := New(Config{TLS: testConfig()}); err != nil || !l.level1 {
		t.Errorf("level 2 in FIPS 140 mode, error %v", err)
	}
}
