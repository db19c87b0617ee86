package sim_test

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

func TestCloseWithUnreadBytesDestroysTheReply(t *testing.T) {
	for _, c := range []struct {
		name       string
		do         func(s *script, fd int, p *sim.Peer)
		want       string
		eof, reset bool
	}{
		{name: "all read", want: "reply", eof: true, do: func(s *script, fd int, p *sim.Peer) {
			s.d.Close(fd, false)
		}},
		{name: "unread when closed", reset: true, do: func(s *script, fd int, p *sim.Peer) {
			p.Send([]byte("x"))
			s.d.Close(fd, false)
		}},
		{name: "sent after the close", reset: true, do: func(s *script, fd int, p *sim.Peer) {
			s.d.Close(fd, false)
			p.Send([]byte("x"))
		}},
		{name: "sent after the close, reply received", want: "reply", reset: true,
			do: func(s *script, fd int, p *sim.Peer) {
				s.d.Close(fd, false)
				s.log = append(s.log, string(p.Recv(100)))
				p.Send([]byte("x"))
			}},
		{name: "linger 0", reset: true, do: func(s *script, fd int, p *sim.Peer) {
			s.ok(s.d.SetOption(fd, driver.Linger, 0))
			s.d.Close(fd, false)
		}},
		{name: "close with reset", reset: true, do: func(s *script, fd int, p *sim.Peer) {
			s.d.Close(fd, true)
		}},
		{name: "FIN of the client only", want: "reply", eof: true, do: func(s *script, fd int, p *sim.Peer) {
			p.CloseWrite()
			s.d.Close(fd, false)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, sim.Config{})
			fd, _, p := s.pair(driver.Read)
			if n, err := s.d.Write(fd, []byte("reply")); n != 5 || err != nil {
				t.Fatal(n, err)
			}
			c.do(s, fd, p)
			got := strings.Join(s.log, "") + string(p.Recv(100))
			if got != c.want || p.EOF() != c.eof || (p.Err() != nil) != c.reset {
				t.Errorf("got %q, EOF %v, %v", got, p.EOF(), p.Err())
			}
			s.ok(s.n.Check())
		})
	}
}

func TestErrorsAreReportedOnce(t *testing.T) {
	s := newScript(t, sim.Config{})
	fd, token, p := s.pair(driver.Read)
	p.Reset()
	s.poll(0)
	s.poll(0)
	s.logged("connection reset by peer", "FIN")
	if n, err := s.d.Write(fd, []byte("x")); err != syscall.EPIPE {
		t.Error(n, err)
	}
	if a := s.d.Remote(fd); a.IsValid() || !s.d.Local(fd).IsValid() {
		t.Error("a disconnected socket has a remote address:", a)
	}

	s.ok(s.d.SetInterest(int(token.Slot()), token, driver.Read, 0))
	fd, _, p = s.pair(0)
	p.Reset()
	for _, want := range []error{syscall.ECONNRESET, syscall.EPIPE, syscall.EPIPE} {
		if n, err := s.d.Write(fd, []byte("x")); err != want {
			t.Error(n, err, "want", want)
		}
	}

	// A reset of a connection without interest is told once: a Writable, as epoll has it.
	s.poll(0)
	s.poll(0)
	s.logged("writable", "writable")

	// The client closes while bytes for it are on the way: they come back as a RST.
	fd, token, p = s.pair(driver.Read)
	p.Close()
	s.poll(0)
	s.logged("FIN")
	if n, err := s.d.Write(fd, []byte("x")); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := s.d.Write(fd, []byte("x")); err != syscall.EPIPE {
		t.Error(n, err)
	}
	s.ok(s.d.SetInterest(fd, token, driver.Read, 0))
	s.ok(s.n.Check())
}

func TestBytesBeforeAReset(t *testing.T) {
	kept := 0
	for seed := range uint64(40) {
		s := newScript(t, sim.Config{Seed: seed})
		_, _, p := s.pair(driver.Read)
		p.Send([]byte("first"))
		p.Reset()
		s.poll(0)
		s.poll(0)
		if s.log[0] == "first" {
			kept++
			s.logged("first", "connection reset by peer")
		} else {
			s.logged("connection reset by peer", "FIN")
		}
	}
	if kept == 0 || kept == 40 {
		t.Errorf("kept in %d of 40", kept)
	}
}

func TestBuffersBound(t *testing.T) {
	s := newScript(t, sim.Config{Buffer: 10})
	fd, token, p := s.pair(driver.Write)
	s.poll(0)
	s.logged("writable")
	if n, err := s.d.Writev(fd, slices.Repeat([][]byte{{1}, nil}, 100)); n != 10 || err != nil {
		t.Error(n, err)
	}
	if n := len(p.Recv(100)); n != 10 {
		t.Error(n)
	}
	if n, err := s.d.Writev(fd, [][]byte{make([]byte, 3), nil, make([]byte, 30)}); n != 10 || err != nil {
		t.Error(n, err)
	}
	// The first 10 bytes have arrived.
	if n, err := s.d.Write(fd, make([]byte, 30)); n != 10 || err != nil {
		t.Error(n, err)
	}
	if n, err := s.d.Write(fd, make([]byte, 30)); n != 0 || err != syscall.EAGAIN {
		t.Error(n, err)
	}
	p.Recv(3)
	if n := s.poll(0); n != 0 {
		t.Error("writable with less than a third free")
	}
	p.Recv(1)
	s.poll(0)
	s.logged("writable")
	if n := p.Send(make([]byte, 30)); n != 10 {
		t.Error(n)
	}
	if n := p.Send(make([]byte, 30)); n != 10 {
		t.Error(n)
	}
	if n := p.Send(make([]byte, 30)); n != 0 || !p.CanSend() {
		t.Error(n)
	}
	s.ok(s.d.SetOption(fd, driver.ReceiveBuffer, 15))
	s.ok(s.d.SetInterest(fd, token, driver.Write, driver.Read))
	s.poll(0)
	if len(s.log) != 1 || len(s.log[0]) != 15 {
		t.Errorf("%q", s.log)
	}
}

func TestWritevUsesSoMany(t *testing.T) {
	s := newScript(t, sim.Config{})
	fd, _, p := s.pair(0)
	n, err := s.d.Writev(fd, slices.Repeat([][]byte{{}, {1}}, 100))
	if n != driver.MaxIovecs || err != nil || len(p.Recv(200)) != n {
		t.Error(n, err)
	}
}

func TestDescriptors(t *testing.T) {
	s := newScript(t, sim.Config{Descriptors: 4})
	for want := 1; want <= 3; want++ {
		if fd, _, _ := s.pair(0); fd != want {
			t.Errorf("descriptor %d, want %d", fd, want)
		}
	}
	p := s.n.Dial(s.n.Addr(0))
	s.poll(0)
	if len(s.refused) != 1 || s.refused[0] != syscall.EMFILE || s.n.Descriptors() != 4 {
		t.Fatal(s.refused, s.n.Descriptors())
	}
	s.d.Close(2, false)
	s.d.Close(1, false)
	s.d.Poll(0, s)
	if got := s.accepted[3]; got != 1 {
		t.Errorf("descriptor %d, want the lowest free one, 1", got)
	}
	if err := s.n.Check(); err == nil {
		t.Error("an orphan was not noticed")
	}
	s.n.CloseFd(1)
	if !p.EOF() {
		t.Error("CloseFd sent no FIN")
	}
	if _, err := s.n.Listen("tcp", "192.0.2.80:80", driver.ListenOptions{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Error(err)
	}
}

func TestDial(t *testing.T) {
	s := newScript(t, sim.Config{})
	if p := s.n.Dial(netip.MustParseAddrPort("192.0.2.80:81")); p.Err() != syscall.ECONNREFUSED || p.CanSend() ||
		p.EOF() {
		t.Error(p.Err())
	}
	fd, err := s.n.Listen("tcp6", "[::]:90", driver.ListenOptions{Backlog: 2})
	s.ok(err)
	to := netip.MustParseAddrPort("[2001:db8::80]:90")
	one, two, three := s.n.Dial(to), s.n.Dial(to), s.n.Dial(to)
	if one.Err() != nil || two.Err() != nil || three.Err() != syscall.ECONNREFUSED {
		t.Error(one.Err(), two.Err(), three.Err())
	}
	if one.Local() == two.Local() || one.Remote() != to {
		t.Error(one.Local(), two.Local(), one.Remote())
	}
	s.n.CloseFd(fd)
	if one.Err() != syscall.ECONNRESET {
		t.Error("the backlog of a closed listener:", one.Err())
	}
}

func TestTrace(t *testing.T) {
	s := newScript(t, sim.Config{Trace: 3})
	for range 5 {
		s.n.Advance(time.Millisecond)
	}
	want := []string{"2ms          advance 1ms", "3ms          advance 1ms", "4ms          advance 1ms"}
	if got := s.n.Trace(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := sim.New(sim.Config{}).Trace(); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
