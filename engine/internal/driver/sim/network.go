package sim

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Config describes a Network. The zero value is a benign network: nothing is lost, cut short or
// late.
type Config struct {
	Seed   uint64
	Faults Faults

	// Buffer is the size in bytes of each of a connection's four buffers: send and receive at
	// either side. 0: 64 KiB, or what Faults.SmallBuffer draws.
	Buffer int
	// Descriptors limits how many are open at the same time. With more, accept gives EMFILE. 0: no
	// limit.
	Descriptors int
	// Completion makes the pollers behave like io_uring: bytes are read into the poller's own
	// memory when the batch of events is collected, Sink.Reading is never called, and the memory is
	// overwritten after Received.
	Completion bool
	// Trace is how many of the last events Network.Trace keeps. With 0 none is formatted.
	Trace int
	// Keep is asked about each fault that the dice chose. If it returns false, the fault does not
	// happen. nil: all happen.
	Keep func(Fault) bool
}

const (
	defaultBuffer  = 64 << 10
	defaultBacklog = 4096
	firstPort      = 20000
)

var (
	peer4 = netip.MustParseAddr("192.0.2.1")   // TEST-NET-1, RFC 5737
	peer6 = netip.MustParseAddr("2001:db8::1") // documentation prefix, RFC 3849
)

// Network is a simulated host with its clock, its descriptors and the remote clients that dial it.
type Network struct {
	cfg     Config
	rng     *rand.Rand // seeded anew for each fault and each batch
	source  *rand.PCG  // of rng
	now     time.Duration
	fds     []*socket // indexed by descriptor; nil: free
	loops   []*loopDriver
	links   []*link
	remote  func(*Peer) bool
	port    uint16        // the last one handed out
	noFiles time.Duration // accept gives EMFILE until then

	spurious int // Polls in a row with nothing but spurious events: see maxSpurious

	counts  Counts
	sent    []Packet // datagrams to outside
	misused error    // the first misuse of a descriptor
	ring    []string // the last trace lines; full when len == cfg.Trace
	oldest  int      // in ring, once it is full
}

// socket is what a descriptor stands for: a listener (end and packets are nil), the server's end of
// a connection, or a datagram socket.
type socket struct {
	fd            int
	local, remote netip.AddrPort
	*place        // the connection's or the listener's

	// The registration; loop is nil without one.
	loop     *loopDriver
	token    driver.Token
	interest driver.Interest

	end     *end
	packets *packets
	told    bool // of a reset, while there was no interest

	// Of a connection that the program dialled.
	connecting bool
	refused    bool
	self       bool          // connected to itself
	due        time.Duration // when the outcome is known

	// Of a listener.
	accept  bool
	reuse   bool // ListenOptions.ReusePort
	backlog int
	queue   []*link // established, not accepted yet
}

// New makes a network.
func New(cfg Config) *Network {
	source := rand.NewPCG(cfg.Seed, 0)
	return &Network{cfg: cfg, rng: rand.New(source), source: source, port: firstPort}
}

// Open makes a driver, which is both poller and sockets. Any number of drivers share the network.
func (n *Network) Open() (driver.Poller, driver.Sockets, error) {
	d := &loopDriver{n: n, id: len(n.loops)}
	d.place.name = fmt.Sprintf("driver %d", d.id)
	n.loops = append(n.loops, d)
	return d, d, nil
}

// Listen makes a listener on an address of network "tcp", "tcp4" or "tcp6"; port 0 gets the next
// unused one.
func (n *Network) Listen(network, address string, o driver.ListenOptions) (int, error) {
	if strings.HasPrefix(address, ":") { // any address of the host
		host := "[::]"
		if network == "tcp4" {
			host = "0.0.0.0"
		}
		address = host + address
	}
	addr, err := netip.ParseAddrPort(address)
	if err != nil {
		return -1, fmt.Errorf("sim: listen %s %q: %w", network, address, err)
	}
	is4 := addr.Addr().Is4()
	switch {
	case network == "tcp", network == "tcp4" && is4, network == "tcp6" && !is4:
	default:
		return -1, fmt.Errorf("sim: listen %s %q: %w", network, address, syscall.EAFNOSUPPORT)
	}
	if addr.Port() == 0 {
		addr = netip.AddrPortFrom(addr.Addr(), n.nextPort())
	}
	for _, s := range n.fds {
		if s != nil && s.end == nil && s.packets == nil && s.local == addr && !(s.reuse && o.ReusePort) {
			return -1, fmt.Errorf("sim: listen %s %q: %w", network, address, syscall.EADDRINUSE)
		}
	}
	backlog := o.Backlog
	if backlog <= 0 {
		backlog = defaultBacklog
	}
	s := &socket{local: addr, place: &place{name: addr.String()}, backlog: backlog, reuse: o.ReusePort}
	if !n.assign(s) {
		return -1, fmt.Errorf("sim: listen %s %q: %w", network, address, syscall.EMFILE)
	}
	n.note("listen fd=%d addr=%v", s.fd, addr)
	return s.fd, nil
}

// Addr returns the address of a listener.
func (n *Network) Addr(fd int) netip.AddrPort { return n.socket("Addr", fd).local }

// Spare takes a descriptor.
func (n *Network) Spare() (int, error) {
	s := &socket{}
	if !n.assign(s) {
		return -1, syscall.EMFILE
	}
	return s.fd, nil
}

// NetConn closes the descriptor and fails: the simulator has no net.Conn.
func (n *Network) NetConn(fd int) (net.Conn, error) {
	n.CloseFd(fd)
	return nil, syscall.EMFILE
}

// CloseFd closes a descriptor that no poller has.
func (n *Network) CloseFd(fd int) {
	s := n.socket("CloseFd", fd)
	if s.loop != nil {
		n.misuse("CloseFd(%d): registered with driver %d as %s", fd, s.loop.id, name(s.token))
	}
	n.release(s, false)
}

// Leave closes a descriptor of a connection of which another process has one.
func (n *Network) Leave(fd int) { n.CloseFd(fd) }

// Duplicate makes another descriptor of a connection, as it arrives in another process. The
// connection is closed when all of them are.
func (n *Network) Duplicate(fd int) (int, error) {
	s := n.socket("Duplicate", fd)
	if s.end == nil {
		n.misuse("Duplicate(%d): not a connection", fd)
	}
	c := &socket{local: s.local, remote: s.remote, place: s.place, end: s.end, self: s.self}
	if !n.assign(c) {
		return -1, syscall.EMFILE
	}
	s.end.copies++
	n.note("duplicate fd=%d fd=%d", fd, c.fd)
	return c.fd, nil
}

// Dial connects a remote client to the listener on addr. Without a listener, or if its backlog is
// full, the Peer's Err is ECONNREFUSED. The connection is established at once: the client may send
// before the server accepts it.
func (n *Network) Dial(addr netip.AddrPort) *Peer {
	host := peer4
	if !addr.Addr().Is4() {
		host = peer6
	}
	p := &Peer{n: n, local: netip.AddrPortFrom(host, n.nextPort()), remote: addr}
	l := n.listener(addr, p.local)
	if l == nil || len(l.queue) >= l.backlog {
		p.end = &end{closed: true, broken: true, reason: syscall.ECONNREFUSED}
		p.end.in, p.end.out = &pipe{to: p.end}, &pipe{to: p.end}
		n.note("dial %v refused", addr)
		return p
	}
	k := n.connect(p, p.local)
	l.queue = append(l.queue, k)
	n.note("dial %v from %v", addr, p.local)
	return p
}

// Skip uses up the port of a client that does not dial, so that later clients keep theirs.
func (n *Network) Skip() { n.nextPort() }

// listener returns a listener for addr: one of that very address, or else one of the unspecified
// address. Which one of several it is depends on the client's address.
func (n *Network) listener(addr, client netip.AddrPort) *socket {
	var exact, wild []*socket
	for _, s := range n.fds {
		switch {
		case s == nil || s.end != nil || s.packets != nil || s.local.Port() != addr.Port():
		case s.local.Addr() == addr.Addr():
			exact = append(exact, s)
		case s.local.Addr().IsUnspecified():
			wild = append(wild, s)
		}
	}
	if len(exact) == 0 {
		exact = wild
	}
	if len(exact) == 0 {
		return nil
	}
	return exact[int(client.Port())*7919>>4%len(exact)]
}

func (n *Network) nextPort() uint16 {
	if n.port++; n.port == 0 {
		n.port = firstPort + 1
	}
	return n.port
}

// assign gives s the lowest free descriptor, as a kernel does. It reports whether there was one.
func (n *Network) assign(s *socket) bool {
	for fd, old := range n.fds {
		if old == nil {
			s.fd, n.fds[fd] = fd, s
			return true
		}
	}
	if n.cfg.Descriptors > 0 && len(n.fds) >= n.cfg.Descriptors {
		return false
	}
	s.fd = len(n.fds)
	n.fds = append(n.fds, s)
	return true
}

// release closes s and frees its descriptor.
func (n *Network) release(s *socket, reset bool) {
	n.counts.Closes++
	n.fds[s.fd] = nil
	if s.end != nil && s.end.copies > 0 {
		s.end.copies--
		s.end.abrupt = s.end.abrupt || reset // an option of the connection, not of the descriptor
		return
	}
	if s.end != nil {
		n.close(s.end, reset)
		return
	}
	for _, k := range s.queue {
		n.close(&k.server, true)
	}
	s.queue = nil
}

// socket finds an open descriptor.
func (n *Network) socket(call string, fd int) *socket {
	if fd < 0 || fd >= len(n.fds) || n.fds[fd] == nil {
		n.misuse("%s(%d): not an open descriptor", call, fd)
	}
	return n.fds[fd]
}
