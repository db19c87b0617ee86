package sim_test

import (
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// loop is what one loop stands on.
type loop struct {
	driver.Poller
	driver.Sockets
}

func open(n *sim.Network) loop {
	p, s, _ := n.Open()
	return loop{p, s}
}

// script is a loop with a listener on descriptor 0 and a Sink that does what the test says.
type script struct {
	t *testing.T
	n *sim.Network
	d loop

	accepted []int
	refused  []error
	read     func(t driver.Token) (int, []byte)
	log      []string
}

const listenerToken = driver.Token(1<<32 | uint64(driver.ListenerBit))

func newScript(t *testing.T, cfg sim.Config) *script {
	t.Helper()
	s := &script{t: t, n: sim.New(cfg)}
	s.d = open(s.n)
	fd, err := s.n.Listen("tcp", "192.0.2.80:80", driver.ListenOptions{})
	if err != nil || fd != 0 {
		t.Fatal(fd, err)
	}
	s.ok(s.d.RegisterListener(fd, listenerToken))
	return s
}

func (s *script) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *script) poll(timeout time.Duration) int {
	s.t.Helper()
	n, err := s.d.Poll(timeout, s)
	s.ok(err)
	s.ok(s.n.Check())
	return n
}

// pair returns a connection that is registered as slot fd with generation 1, and its peer.
func (s *script) pair(i driver.Interest) (int, driver.Token, *sim.Peer) {
	s.t.Helper()
	n := len(s.accepted)
	p := s.n.Dial(s.n.Addr(0))
	for len(s.accepted) == n {
		_, err := s.d.Poll(0, s) // without Check: no loop has the descriptor yet
		s.ok(err)
	}
	fd := s.accepted[n]
	t := driver.MakeToken(uint32(fd), 1)
	s.ok(s.d.Register(fd, t, i))
	return fd, t, p
}

func (s *script) Reading(t driver.Token) (int, []byte) {
	if s.read != nil {
		return s.read(t)
	}
	return int(t.Slot()), make([]byte, 100)
}

func (s *script) Received(_ driver.Token, b []byte, _ bool) bool {
	s.log = append(s.log, string(b))
	return false
}
func (s *script) ReadClosed(driver.Token)          { s.log = append(s.log, "FIN") }
func (s *script) Writable(driver.Token)            { s.log = append(s.log, "writable") }
func (s *script) Failed(_ driver.Token, err error) { s.log = append(s.log, err.Error()) }
func (s *script) Accepted(_ driver.Token, fd int) bool {
	s.accepted = append(s.accepted, fd)
	return true
}
func (s *script) AcceptFailed(_ driver.Token, err error) { s.refused = append(s.refused, err) }

func (s *script) logged(want ...string) {
	s.t.Helper()
	if !slices.Equal(s.log, want) {
		s.t.Errorf("got %q, want %q", s.log, want)
	}
	s.log = nil
}

func (*script) Awake()                 {}
func (*script) Datagrams(driver.Token) {}
