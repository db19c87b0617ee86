package wsgnet

import (
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
)

// opened returns an open connection of s that is on no loop.
func opened(t *testing.T, s *Server) (*Conn, *looped) {
	t.Helper()
	l := &looped{broken: broken{server: s, in: []byte(upgrade)}, loop: posted{tasks: make(chan gnet.Runnable, 10)}}
	s.OnOpen(l)
	s.OnTraffic(l)
	c := l.ctx.(*Conn)
	t.Cleanup(c.stopTimer)
	if l.out.Reset(); c.state != open {
		t.Fatalf("state %d", c.state)
	}
	return c, l
}

// TestLookThatWaitedForTheLoop: a look for silence that waited while a callback ran was taken for
// the end of CloseTimeout, when that callback called Close.
func TestLookThatWaitedForTheLoop(t *testing.T) {
	c, l := opened(t, &Server{Limits: wsproto.Limits{IdleTimeout: 1, ProgressTimeout: -1, CloseTimeout: time.Hour}})
	r := <-l.loop.tasks // the timer has fired
	if err := c.Close(wsproto.NormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	r.Run(t.Context())
	if c.state != open || c.reason != nil {
		t.Errorf("state %d, reason %v", c.state, c.reason)
	}
	c, l = opened(t, &Server{Limits: wsproto.Limits{IdleTimeout: 1, ProgressTimeout: -1, CloseTimeout: -1}})
	r = <-l.loop.tasks
	c.Close(wsproto.NormalClosure, "")
	r.Run(t.Context())
	if c.state != open || c.reason != nil {
		t.Errorf("without a timeout: state %d, reason %v", c.state, c.reason)
	}
}

// TestMessageThatBeginsBeforeALook: a message of which a part had arrived at the first look was
// taken for one that had not grown for all the time before.
func TestMessageThatBeginsBeforeALook(t *testing.T) {
	c, l := opened(t, &Server{Limits: wsproto.Limits{IdleTimeout: -1, ProgressTimeout: time.Hour}})
	c.look()
	l.in = []byte("\x01\x82\x00\x00\x00\x00be")
	l.server.OnTraffic(l)
	c.look()
	if c.state != open {
		t.Fatalf("ended by %v", c.reason)
	}
	c.look()
	if c.state == open {
		t.Error("a message that does not grow goes unnoticed")
	}
}

// TestNoPongAfterClose: a ping that had arrived behind the message whose callback called Close was
// answered behind the Close frame, which must be the last frame.
func TestNoPongAfterClose(t *testing.T) {
	_, l := opened(t, &Server{
		Message: func(c *Conn, _ wsproto.Opcode, _ []byte) { c.Close(wsproto.NormalClosure, "") },
	})
	l.in = []byte("\x81\x80\x00\x00\x00\x00" + "\x89\x80\x00\x00\x00\x00")
	l.server.OnTraffic(l)
	if got, want := l.out.String(), "\x88\x02\x03\xE8"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

// TestSlowPeersAreWaitedFor: a peer that took steadily what was sent before was cut off
// CloseTimeout after Close, and IdleTimeout and PongTimeout after it had sent something.
func TestSlowPeersAreWaitedFor(t *testing.T) {
	tests := []struct {
		name  string
		close bool
		want  error
	}{
		{name: "Close", close: true, want: ErrCloseTimeout},
		{name: "open", want: ErrPongTimeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, l := opened(t, &Server{Limits: wsproto.Limits{IdleTimeout: time.Hour, CloseTimeout: time.Hour,
				ProgressTimeout: -1}})
			l.waiting = 10 << 20
			if tt.close {
				c.Close(wsproto.NormalClosure, "")
			}
			for l.waiting > 0 {
				l.waiting -= 1 << 20
				if c.look(); l.ends {
					t.Fatalf("cut off while %d bytes waited: %v", l.waiting, c.reason)
				}
			}
			for looks := 0; !l.ends; looks++ {
				if c.look(); looks == 10 {
					t.Fatal("a peer that takes nothing goes unnoticed")
				}
			}
			if c.reason != tt.want {
				t.Errorf("ended by %v", c.reason)
			}
		})
	}
}

// TestLingerHasAnEnd: a peer that takes a byte now and then kept a connection for ever.
func TestLingerHasAnEnd(t *testing.T) {
	for _, closes := range []bool{true, false} {
		c, l := opened(t, &Server{})
		l.waiting = 10 << 20
		if closes {
			c.Close(wsproto.NormalClosure, "")
		} else {
			c.fail(&wsproto.ProtocolError{Code: wsproto.PolicyViolation})
		}
		l.waiting--
		if c.look(); l.ends {
			t.Fatal("not waited for")
		}
		c.watch.last = time.Now()
		l.waiting--
		if c.look(); !l.ends {
			t.Error("no end")
		}
	}
}

// TestPeersThatTakeNothingAreLookedAtRarely: each ending connection was looked at 100 times per
// second, for as long as its peer took a byte now and then.
func TestPeersThatTakeNothingAreLookedAtRarely(t *testing.T) {
	const timeout = 10 * time.Second
	c, l := opened(t, &Server{Limits: wsproto.Limits{CloseTimeout: timeout}})
	l.waiting = 10 << 20
	c.fail(&wsproto.ProtocolError{Code: wsproto.PolicyViolation})
	looks := 0
	for ; !l.ends; looks++ {
		c.look()
	}
	if looks > 100 || c.watch.stuck > timeout*9/8 {
		t.Errorf("%d looks, %v", looks, c.watch.stuck)
	}
}

// TestPeerThatTakesSomethingLateIsWaitedFor: looks had become rare, and one that came at the end of
// CloseTimeout did not ask whether the peer had taken something since the one before.
func TestPeerThatTakesSomethingLateIsWaitedFor(t *testing.T) {
	const timeout = 10 * time.Second
	c, l := opened(t, &Server{Limits: wsproto.Limits{CloseTimeout: timeout}})
	l.waiting = 10 << 20
	c.fail(&wsproto.ProtocolError{Code: wsproto.PolicyViolation})
	for c.watch.stuck < timeout {
		c.look()
	}
	l.waiting -= 1 << 20
	if c.look(); l.ends {
		t.Error("cut off although it has taken something")
	}
	for c.watch.stuck < timeout {
		c.look()
	}
	if c.look(); !l.ends {
		t.Error("a peer that takes nothing more goes unnoticed")
	}
}
