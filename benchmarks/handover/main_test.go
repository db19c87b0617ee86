//go:build linux

package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test's own binary be the server.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestHandovers lets each mode run for a moment: it fails if a connection ends, or a byte is wrong.
func TestHandovers(t *testing.T) {
	for _, c := range []struct {
		name string
		o    options
		want string
	}{
		{"chain", options{conns: 300, handovers: 3, every: 50 * time.Millisecond}, "| 3 |"},
		{"kill", options{conns: 60, kills: 12}, "12 kills"},
		{"cost", options{conns: 100, handovers: 1, cost: true, kinds: "TLS, compressed"}, "| TLS, compressed |"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.window, c.o.loops = 12, 2
			c.o.serve.window, c.o.serve.loops = c.o.window, c.o.loops
			var out strings.Builder
			if err := run(c.o, &out); err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("no %q in\n%s", c.want, out.String())
			}
			t.Log(out.String())
		})
	}
}
