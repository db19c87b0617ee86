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
	_, l := opened(t, &Server{Message: func(c *Conn, _ wsproto.Opcode, _ []byte) { c.Close(wsproto.NormalClosure, "") }})
	l.in = []byte("\x81\x80\x00\x00\x00\x00" + "\x89\x80\x00\x00\x00\x00")
	l.server.OnTraffic(l)
	if got, want := l.out.String(), "\x88\x02\x03\xE8"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}
