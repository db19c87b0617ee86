package tlslayer

import (
	"testing"
	"time"
)

func TestSelfTest(t *testing.T) {
	start := time.Now()
	if err := selfTest(); err != nil {
		t.Fatal(err)
	}
	t.Logf("took %v", time.Since(start))
}
