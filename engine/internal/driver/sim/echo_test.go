package sim_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// echo is the simplest correct loop on a driver, with which the simulator is tested: an echo server
// that closes when it has sent everything back after the client's FIN.
type echo struct {
	n     *sim.Network
	d     loop
	next  *echo // connections are handed over to it
	ln    int   // -1 without a listener
	lt    driver.Token
	retry time.Duration // when to accept again; 0: accepting
	conns map[driver.Token]*echoConn
	gen   uint32
	err   error
}

type echoConn struct {
	t        driver.Token
	fd       int
	interest driver.Interest
	out      []byte
	fin      bool
}

const echoHigh = 2000 // bytes to send above which it does not read

func newEcho(t testing.TB, n *sim.Network) *echo {
	t.Helper()
	e := &echo{n: n, d: open(n), ln: -1, conns: map[driver.Token]*echoConn{}}
	e.next = e
	return e
}

func (e *echo) listen(t testing.TB) {
	t.Helper()
	var err error
	if e.ln, err = e.n.Listen("tcp", "192.0.2.80:80", driver.ListenOptions{}); err != nil {
		t.Fatal(err)
	}
	e.lt = driver.MakeToken(driver.ListenerBit, 1)
	if err := e.d.RegisterListener(e.ln, e.lt); err != nil {
		t.Fatal(err)
	}
}

func (e *echo) step(t testing.TB) {
	t.Helper()
	timeout := time.Duration(-1)
	if e.retry > 0 {
		timeout = max(0, e.retry-e.d.Now())
	}
	if _, err := e.d.Poll(timeout, e); err != nil {
		t.Fatal(err)
	}
	if e.retry > 0 && e.d.Now() >= e.retry {
		e.retry = 0
		e.err = e.d.SetAccepting(e.ln, e.lt, true)
	}
	if e.err != nil {
		t.Fatal(e.err)
	}
}

func (e *echo) stop() {
	if e.ln >= 0 {
		e.d.CloseListener(e.ln, e.lt)
	}
	for _, c := range sorted(e.conns) {
		e.close(c, true)
	}
	e.d.Shut()
}

func sorted(m map[driver.Token]*echoConn) (list []*echoConn) {
	for _, c := range m {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *echoConn) int { return int(int64(a.t) - int64(b.t)) })
	return list
}

func (e *echo) Accepted(_ driver.Token, fd int) bool {
	e.next.add(fd)
	return len(e.conns)%3 != 0
}

func (e *echo) add(fd int) {
	e.gen++
	c := &echoConn{t: driver.MakeToken(uint32(len(e.conns)), e.gen), fd: fd, interest: driver.Read}
	if err := e.d.Register(fd, c.t, driver.Read); err != nil {
		e.d.Close(fd, true)
		return
	}
	e.conns[c.t] = c
}

func (e *echo) AcceptFailed(t driver.Token, _ error) {
	e.err = e.d.SetAccepting(e.ln, t, false)
	e.retry = e.d.Now() + 30*time.Millisecond
}

func (e *echo) Reading(t driver.Token) (int, []byte) {
	c := e.conns[t]
	if c == nil || c.interest&driver.Read == 0 {
		return -1, nil
	}
	return c.fd, make([]byte, 700)
}

func (e *echo) Received(t driver.Token, b []byte, more bool) bool {
	c := e.conns[t]
	if c == nil {
		return false
	}
	c.out = append(c.out, b...)
	e.settle(c)
	return more
}

func (e *echo) ReadClosed(t driver.Token) {
	if c := e.conns[t]; c != nil {
		c.fin = true
		e.settle(c)
	}
}

func (e *echo) Writable(t driver.Token) {
	if c := e.conns[t]; c != nil {
		e.settle(c)
	}
}

func (e *echo) Failed(t driver.Token, _ error) {
	if c := e.conns[t]; c != nil {
		e.close(c, true)
	}
}

// settle writes, and sets the interest to what is left to do.
func (e *echo) settle(c *echoConn) {
	for len(c.out) > 0 {
		n, err := e.d.Writev(c.fd, [][]byte{c.out[:len(c.out)/2], c.out[len(c.out)/2:]})
		if err == syscall.EAGAIN {
			break
		}
		if err != nil {
			e.close(c, true)
			return
		}
		c.out = c.out[n:]
	}
	var want driver.Interest
	if !c.fin && len(c.out) < echoHigh {
		want = driver.Read
	}
	if len(c.out) > 0 {
		want |= driver.Write
	}
	if want == 0 {
		e.close(c, false)
		return
	}
	if want != c.interest {
		if err := e.d.SetInterest(c.fd, c.t, c.interest, want); err != nil {
			e.close(c, true)
			return
		}
		c.interest = want
	}
}

func (e *echo) close(c *echoConn, reset bool) {
	e.d.Close(c.fd, reset)
	delete(e.conns, c.t)
}

// client is a Peer and what it sends.
type client struct {
	*sim.Peer
	sent, got []byte
	at        int
}

func (c *client) done() bool { return c.EOF() || c.Err() != nil }

// play runs clients against loops echo servers that share a network, until all clients are done.
func play(t testing.TB, cfg sim.Config, loops int) (*sim.Network, []*client) {
	t.Helper()
	n := sim.New(cfg)
	rng := rand.New(rand.NewPCG(cfg.Seed, 1))
	fail := func(format string, args ...any) {
		t.Helper()
		t.Fatalf("seed %d, faults %+v: %s\n%s", cfg.Seed, cfg.Faults, fmt.Sprintf(format, args...),
			strings.Join(n.Trace(), "\n"))
	}
	servers := make([]*echo, loops)
	for i := range servers {
		servers[i] = newEcho(t, n)
	}
	servers[0].listen(t)
	servers[0].next = servers[loops-1]

	var clients []*client
	for range 1 + rng.IntN(6) {
		c := &client{Peer: n.Dial(n.Addr(0)), sent: make([]byte, rng.IntN(3000))}
		for i := range c.sent {
			c.sent[i] = byte(rng.Uint32())
		}
		clients = append(clients, c)
	}
	for steps, left := 0, len(clients); left > 0; steps++ {
		if steps > 100_000 {
			fail("%d clients are not done, idle: %v", left, n.Idle())
		}
		for _, s := range servers {
			s.step(t)
			if err := n.Check(); err != nil {
				fail("%v", err)
			}
		}
		left = 0
		for _, c := range clients {
			c.at += c.Send(c.sent[c.at:min(len(c.sent), c.at+1+rng.IntN(900))])
			if c.at == len(c.sent) {
				c.CloseWrite()
			}
			c.got = append(c.got, c.Recv(1+rng.IntN(900))...)
			if !c.done() {
				left++
			}
		}
	}
	for _, s := range servers {
		s.stop()
	}
	if n.Descriptors() != 0 {
		fail("%d descriptors left", n.Descriptors())
	}
	for _, c := range clients {
		switch {
		case !bytes.HasPrefix(c.sent, c.got):
			fail("client %v got what it did not send", c.Local())
		case c.EOF() && len(c.got) < c.at:
			fail("client %v got %d bytes of %d and a clean end", c.Local(), len(c.got), c.at)
		case c.Err() != nil && !c.Faulted() && cfg.Faults.NoMemory == 0:
			fail("client %v: %v", c.Local(), c.Err())
		}
	}
	return n, clients
}

func (*echo) Awake() {}

func (*echo) Datagrams(driver.Token) {}
