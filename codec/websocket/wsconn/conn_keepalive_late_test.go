package wsconn

import (
	"testing"
	"time"
)

// TestLateTimerGivesThePeerAnotherChance: after SIGSTOP or on a busy machine the timer was as late
// as the goroutine that reads, and a peer whose pong waited in the socket was cut off.
func TestLateTimerGivesThePeerAnotherChance(t *testing.T) {
	const interval = time.Hour
	for _, test := range []struct {
		name string
		over time.Duration // how late the timer is
		want []event
	}{
		{name: "late", over: interval, want: []event{none, pongTimeout}},
		{name: "in time", over: time.Minute, want: []event{pongTimeout}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &Conn{opened: time.Now().Add(-interval - test.over)}
			k := &c.keepalive
			k.setLimits(&Limits{IdleTimeout: interval, PongTimeout: interval})
			k.waiting, k.pinged = true, true
			defer k.stop()
			for i, want := range test.want {
				if got := k.check(c); got != want {
					t.Fatalf("check %d: event %d, want %d", i, got, want)
				}
				if want == none && !k.armed {
					t.Error("the timer is not set again")
				}
			}
			if k.err != ErrPongTimeout {
				t.Errorf("error: %v", k.err)
			}
		})
	}
}
