package engine_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// proxyPeer is a proxy that sends its header first, in pieces, the last of which may have data
// behind it.
type proxyPeer struct {
	peer
	rng    *rand.Rand
	header []byte // not sent yet
}

// newProxyPeer draws a header. The client that it tells of has the port of the proxy, by which the
// server knows it.
func newProxyPeer(r *run, p peer) *proxyPeer {
	port := p.Local().Port()
	rng := r.source(1<<20 + int(port))
	host := byte(rng.IntN(4))
	h := engine.ProxyHeader{
		Version:     1 + rng.IntN(2),
		Source:      netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), port),
		Destination: netip.MustParseAddrPort("203.0.113.5:443"),
	}
	if rng.IntN(2) == 0 {
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: host}), port)
		h.Destination = netip.MustParseAddrPort("[2001:db8::1]:443")
	}
	switch {
	case rng.IntN(4) == 0: // without addresses
		h = engine.ProxyHeader{Version: h.Version, Local: rng.IntN(2) == 0}
	case h.Version == 2 && rng.IntN(2) == 0:
		h.AddTLV(byte(0xe0+rng.IntN(16)), make([]byte, rng.IntN(1000)))
		h.AddTLV(engine.ProxyCRC32C, make([]byte, 4))
	}
	b, err := h.Append(nil)
	if err != nil {
		panic(err)
	}
	r.claims[port] = h.Source
	if !h.Source.IsValid() {
		r.claims[port] = p.Local()
	}
	return &proxyPeer{peer: p, rng: rng, header: b}
}

// flush sends a piece of the header.
func (p *proxyPeer) flush() {
	if len(p.header) > 0 && p.peer.CanSend() {
		p.header = p.header[p.peer.Send(p.header[:1+p.rng.IntN(len(p.header))]):]
	}
}

func (p *proxyPeer) Send(b []byte) int {
	if len(p.header) == 0 {
		return p.peer.Send(b)
	}
	if p.rng.IntN(2) == 0 {
		p.flush()
		return 0
	}
	n := p.peer.Send(append(p.header, b...))
	of := min(n, len(p.header))
	p.header = p.header[of:]
	return n - of
}

func (p *proxyPeer) CanSend() bool {
	p.flush()
	return len(p.header) == 0 && p.peer.CanSend()
}

func (p *proxyPeer) Recv(n int) []byte {
	p.flush()
	return p.peer.Recv(n)
}

// impostor sends what is not a header, or only a part of one, and must not be served.
type impostor struct {
	p    peer
	text []byte
	half bool // it leaves in the middle
}

func newImpostor(r *run, rng *rand.Rand) client {
	p := r.net.Dial(r.ln.Addr())
	texts := []string{"GET / HTTP/1.1\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\nhello", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"}
	i := &impostor{p: p, text: []byte(texts[rng.IntN(len(texts))])}
	if rng.IntN(3) == 0 {
		i.half, i.text = true, i.text[:0]
		i.text = append(i.text, "PROXY TCP4 192"[:rng.IntN(14)]...)
	}
	return i
}

func (i *impostor) step() {
	if len(i.text) > 0 && i.p.CanSend() {
		i.text = i.text[i.p.Send(i.text[:1]):]
	}
	if len(i.text) == 0 && i.half && i.p.CanSend() {
		i.p.CloseWrite()
	}
	i.p.Recv(10)
}

func (i *impostor) moved() int  { return -len(i.text) }
func (i *impostor) done() bool  { return i.p.EOF() || i.p.Err() != nil }
func (i *impostor) fail() error { return nil }
func (i *impostor) leave()      { i.p.Close() }

// proxiedEcho looks at the client's address in every call, and panics in some.
type proxiedEcho struct {
	*tcpEcho
	r    *run
	told bool // the header tells the address
	want netip.AddrPort
}

func (e *proxiedEcho) look(when string) {
	if got := e.conn.RemoteAddr(); got != e.want && (e.told || got.IsValid()) {
		e.r.err = fmt.Errorf("the client is %v in %s, want %v", got, when, e.want)
	}
}

func (e *proxiedEcho) Feed(b []byte) (int, error) {
	e.look("Feed")
	return e.tcpEcho.Feed(b)
}

func (e *proxiedEcho) Closed(reason error) {
	e.look("Closed")
	e.tcpEcho.Closed(reason)
	if e.rng.IntN(3) == 0 { // its descriptor is closed later, when another one may have its slot
		panic("in Closed")
	}
}

// proxyScenario is that of TestSimulatedTCPEcho behind a proxy.
func proxyScenario() scenario {
	s := tcpScenario
	s.proxied = true
	s.accept = func(r *run) func(*engine.Conn) engine.Protocol {
		return func(c *engine.Conn) engine.Protocol {
			// Zero are both, if a reset has taken the proxy's own address.
			want := r.claims[c.RemoteAddr().Port()]
			e := &proxiedEcho{tcpEcho: newTCPEcho(r, c), r: r, told: c.ProxyHeader().Source.IsValid(), want: want}
			e.look("accept")
			return e
		}
	}
	s.client = func(r *run, rng *rand.Rand) client {
		if rng.IntN(5) == 0 {
			return newImpostor(r, rng)
		}
		return newTCPClient(r, rng)
	}
	s.ended = func(r *run) error {
		if n, used := engine.Waiting(r.ln), engine.Counted(r.ln); n != 0 || used != 0 {
			return fmt.Errorf("%d connections wait for a header, %d are counted", n, used)
		}
		return nil
	}
	return s
}

func TestSimulatedProxy(t *testing.T) { simulate(t, seeds(t), proxyScenario().run) }

// TestSimulatedProxyLayer: the layer's handshake follows the header.
func TestSimulatedProxyLayer(t *testing.T) {
	s := proxyScenario()
	s.layered = true
	simulate(t, seeds(t), s.run)
}
