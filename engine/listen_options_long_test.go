package engine_test

import (
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestSecondsOfLongDurations: they were negative.
func TestSecondsOfLongDurations(t *testing.T) {
	for _, test := range []struct {
		d    time.Duration
		want int
	}{
		{d: 0, want: 0},
		{d: 1, want: 1},
		{d: time.Second, want: 1},
		{d: time.Second + 1, want: 2},
		{d: math.MaxInt32 * time.Second, want: math.MaxInt32},
		{d: math.MaxInt64, want: math.MaxInt32},
	} {
		if got := engine.Seconds(test.d); got != test.want {
			t.Errorf("%v is %d s, want %d", test.d, got, test.want)
		}
	}
}

// TestProxyMaxWaitingLarge: a limit of 32 bits and more refused everybody.
func TestProxyMaxWaitingLarge(t *testing.T) {
	s := listenProxy(t, engine.Config{Loops: 1}, trusting(engine.ProxyConfig{MaxWaiting: math.MaxInt}), behindProxy)
	c := s.dial(t)
	io.WriteString(c, header4("192.0.2.9", 77))
	c.CloseWrite()
	if b, _ := io.ReadAll(c); !strings.HasPrefix(string(b), "192.0.2.9:77 ") {
		t.Errorf("the peer reads %q", b)
	}
}
