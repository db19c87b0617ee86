package drivertest

import (
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// patience is how long a case waits for what must happen. No case passes or fails because it is
// quick.
const patience = 5 * time.Second

// Peer is the remote side of a connection. Its calls wait until they are done, but no longer than
// patience.
type Peer interface {
	// Send sends all of b, which is small enough for the buffers.
	Send(b []byte) error
	// Recv receives at least a byte. The error is io.EOF after a FIN and ECONNRESET after a RST.
	Recv(b []byte) (int, error)
	CloseWrite() error
	Close() error
	// Reset closes with a RST.
	Reset() error
	// Addr is the peer's own address.
	Addr() netip.AddrPort
}

// Dial connects a Peer to a listener of b. address is an AddrPort in text, or a path if network is
// "unix". It fails t if there is no connection.
type Dial func(t *testing.T, b driver.Backend, network, address string) Peer

type testCase struct {
	name       string
	run        func(*host)
	tcpOnly    bool
	kernelOnly bool
}

// Run runs all cases on what backend makes. dial connects peers to its simulated sockets. If dial
// is nil, the sockets are those of the kernel: peers come by way of package net, unix sockets are
// tested as well, and the kernel is asked about descriptors.
func Run(t *testing.T, backend func(t *testing.T) driver.Backend, dial Dial) {
	kernel := dial == nil
	networks := []string{"tcp"}
	if kernel {
		networks = append(networks, "unix")
		dial = dialNet
	}
	var cases []testCase
	for _, list := range [][]testCase{listenCases, readCases, writeCases, closeCases, batchCases, wakeCases,
		sharedCases} {
		cases = append(cases, list...)
	}
	for _, network := range networks {
		t.Run(network, func(t *testing.T) {
			for _, c := range cases {
				if c.tcpOnly && network == "unix" || c.kernelOnly && !kernel {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					h := newHost(t, backend(t), dial, network)
					h.kernel = kernel
					c.run(h)
					h.shut()
				})
			}
		})
	}
}

// host is a loop that does nothing by itself: a poller with its sockets, a listener, and a Sink
// that records its calls.
type host struct {
	t       *testing.T
	b       driver.Backend
	poller  driver.Poller
	sockets driver.Sockets
	dial    Dial
	kernel  bool // the sockets are the kernel's
	network string
	address string // of the listener

	listener int // its descriptor; -1 once closed
	lt       driver.Token
	conns    map[driver.Token]*conn
	order    []*conn // as accepted
	slots    uint32
	failures []error // of AcceptFailed

	datagrams int // calls of Datagrams

	// What a case does in a Sink method. nil: nothing, and onReceived returns false, onAccepted
	// true.
	onReading  func(c *conn)
	onReceived func(c *conn) (again bool)
	onWritable func(c *conn)
	onAccepted func(c *conn) (again bool)
}

func newHost(t *testing.T, b driver.Backend, dial Dial, network string) *host {
	t.Helper()
	p, s, err := b.Open()
	if err != nil {
		t.Fatal("Open:", err)
	}
	h := &host{t: t, b: b, poller: p, sockets: s, dial: dial, network: network, conns: map[driver.Token]*conn{},
		listener: -1}
	t.Cleanup(h.shut)
	h.address = "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "drv") // t.TempDir may be too long for sun_path
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		h.address = filepath.Join(dir, "s")
	}
	h.listen()
	return h
}

// listen opens the listener on h.address.
func (h *host) listen() {
	h.t.Helper()
	fd, err := h.b.Listen(h.network, h.address, driver.ListenOptions{})
	if err != nil {
		h.t.Fatal("Listen:", err)
	}
	if h.network != "unix" {
		h.address = h.b.Addr(fd).String()
	}
	h.listener, h.lt = fd, driver.MakeToken(driver.ListenerBit|7, 1)
	if err := h.poller.RegisterListener(fd, h.lt); err != nil {
		h.t.Fatal("RegisterListener:", err)
	}
}

// shut closes everything, once.
func (h *host) shut() {
	if h.poller == nil {
		return
	}
	for _, c := range h.order {
		c.close(false)
	}
	if h.listener >= 0 {
		h.poller.CloseListener(h.listener, h.lt)
	}
	h.poller.Shut()
	h.poller = nil
}

func (h *host) peer() Peer {
	h.t.Helper()
	p := h.dial(h.t, h.b, h.network, h.address)
	h.t.Cleanup(func() { p.Close() })
	return p
}

// pair returns a connection that is registered with interest i, and its peer.
func (h *host) pair(i driver.Interest) (*conn, Peer) {
	h.t.Helper()
	n := len(h.order)
	p := h.peer()
	h.until("a connection", func() bool { return len(h.order) > n })
	c := h.order[n]
	c.set(i)
	return c, p
}

// poll calls Poll.
func (h *host) poll(timeout time.Duration) int {
	h.t.Helper()
	n, err := h.poller.Poll(timeout, h)
	if err != nil {
		h.t.Fatal("Poll:", err)
	}
	return n
}

// until polls until cond holds.
func (h *host) until(what string, cond func() bool) {
	h.t.Helper()
	for end := time.Now().Add(patience); !cond(); {
		if time.Now().After(end) {
			h.t.Fatalf("no %s", what)
		}
		h.poll(10 * time.Millisecond)
		runtime.Gosched()
	}
}

// quiet polls for a moment in which nothing must be reported.
func (h *host) quiet(when string) {
	h.t.Helper()
	for range 3 {
		if n := h.poll(2 * time.Millisecond); n != 0 {
			h.t.Fatalf("%s: %d events", when, n)
		}
	}
}

func (h *host) check(ok bool, format string, args ...any) {
	h.t.Helper()
	if !ok {
		h.t.Fatalf(format, args...)
	}
}

func (h *host) noErr(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}
