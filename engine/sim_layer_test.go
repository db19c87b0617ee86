package engine_test

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// This file has a layer that hides nothing. It cuts what is sent into records of any length,
// numbers them, and changes every byte, so that bytes that were sealed twice, or not at all, or in
// another order show. As TLS does, it has records that bring nothing, some of which want an answer.
//
//	kind | number | length, 2 bytes | content, each byte changed by the number

const (
	toyHeader = 4
	toyMax    = 1 << 10 // of a record's content

	toyData   = 'd'
	toyAsk    = 'a' // wants an answer
	toyAnswer = 'A'
	toyEnd    = 'e'
)

const (
	toyHello = "hello"
	toyReply = "welcome"
)

// toyKeys are what contents are changed by. Byte by byte that takes long under the race detector.
var toyKeys = sync.OnceValue(func() (keys [][]byte) {
	for i := range 256 {
		keys = append(keys, bytes.Repeat([]byte{byte(i)}, toyMax))
	}
	return keys
})

// toyStream is one end of a connection, of the server or of the client.
type toyStream struct {
	run      *run // of the server
	rng      *rand.Rand
	in, out  byte // the numbers of the next records
	answers  int  // that are due
	asked    int  // answers that must come
	err      error
	ended    bool // SealEnd was called
	more     bool // Open has stopped early
	detached bool
}

func (s *toyStream) Open(b []byte, plain int) (from, to, end int, err error) {
	to = plain
	next := plain
	for s.more = false; s.err == nil && len(b)-next >= toyHeader; {
		rec := b[next:]
		n := toyHeader + int(rec[2])<<8 + int(rec[3])
		if len(rec) < n {
			break
		}
		if next > plain && s.rng.IntN(8) == 0 {
			s.more = true
			break
		}
		if rec[1] != s.in || n > toyHeader+toyMax {
			panic(fmt.Sprintf("record %d of %d bytes instead of record %d", rec[1], n, s.in))
		}
		subtle.XORBytes(rec[toyHeader:n], rec[toyHeader:n], toyKeys()[s.in|0x80])
		s.in++
		next += n
		switch rec[0] {
		case toyData:
			if to == 0 {
				from, to = next-n+toyHeader, next
			} else {
				to += copy(b[to:], rec[toyHeader:n])
			}
		case toyAsk:
			s.answers++
		case toyAnswer:
			s.asked--
		case toyEnd:
			s.err = io.EOF
		default:
			panic(fmt.Sprintf("record of kind %q", rec[0]))
		}
	}
	if s.err != nil {
		return from, to, to, s.err
	}
	return from, to, to + copy(b[to:], b[next:]), nil
}

func (s *toyStream) Work() (int, bool) { return s.rng.IntN(1 << 10), s.more }

// Held counts what is not held: the loop's sum must be zero in the end all the same.
func (s *toyStream) Held() int {
	if s.detached {
		return 0
	}
	return int(s.in)
}

func (s *toyStream) seal(dst []byte, kind byte, b []byte) []byte {
	dst = append(dst, kind, s.out, byte(len(b)>>8), byte(len(b)))
	content := len(dst)
	dst = append(dst, b...)
	subtle.XORBytes(dst[content:], b, toyKeys()[s.out|0x80])
	s.out++
	return dst
}

func (s *toyStream) Seal(dst, b []byte) []byte {
	if s.ended {
		return dst
	}
	for ; s.answers > 0; s.answers-- {
		dst = s.seal(dst, toyAnswer, nil)
	}
	for len(b) > 0 {
		n := min(len(b), 1+s.rng.IntN(toyMax))
		dst = s.seal(dst, toyData, b[:n])
		b = b[n:]
	}
	return dst
}

func (s *toyStream) SealedLen(n int) int { return n*(1+toyHeader) + s.answers*toyHeader }

func (s *toyStream) Pending() bool { return s.answers > 0 && !s.ended }

func (s *toyStream) SealEnd(dst []byte) []byte {
	if s.ended {
		return dst
	}
	s.ended = true
	return s.seal(dst, toyEnd, nil)
}

func (s *toyStream) ReadClosed(rest int) error {
	if s.err == nil && rest > 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (s *toyStream) NetConn(nc net.Conn, in, out []byte) layer.Released {
	return toyReleased{nc, layer.Kept{Stream: s, In: in, Out: out}}
}

// toyReleased is a connection that was released, and of which nothing is read meanwhile.
type toyReleased struct {
	net.Conn
	kept layer.Kept
}

func (r toyReleased) NetConn() net.Conn                         { return r.Conn }
func (r toyReleased) Return(adopt func(layer.Kept) error) error { return adopt(r.kept) }

func (s *toyStream) State() any     { return s.in }
func (s *toyStream) String() string { return "toy" }
func (s *toyStream) Detach()        {}
func (s *toyStream) Attach(*any)    {}

func (s *toyStream) Close() {
	if s.detached {
		panic("a layer is closed twice")
	}
	s.detached = true
}

// toyLayer begins handshakes: the client says hello, and the server welcomes it.
type toyLayer struct{ r *run }

func (y toyLayer) Begin(_, remote net.Addr, notify func()) layer.Handshake {
	return &toyHandshake{run: y.r, rng: y.r.source(remote.(*net.TCPAddr).Port), notify: notify}
}

func (y toyLayer) Timeout() time.Duration { return 24 * time.Hour }

type toyHandshake struct {
	run     *run
	rng     *rand.Rand
	notify  func()
	in, out []byte
	done    bool
	err     error
}

// Feed takes as much as it likes, also of what is behind the handshake.
func (h *toyHandshake) Feed(b []byte) (int, error) {
	n := min(len(b), 1+h.rng.IntN(50))
	h.in = append(h.in, b[:n]...)
	if len(h.in) >= len(toyHello) && !h.done {
		h.done = true
		if string(h.in[:len(toyHello)]) != toyHello {
			h.run.err = fmt.Errorf("the hello is %q", h.in[:len(toyHello)])
		}
		h.out = append(h.out, toyReply...)
	}
	h.notify()
	return n, h.err
}

func (h *toyHandshake) ReadClosed() (left bool) {
	if !h.done {
		h.err, h.done = io.EOF, true
	}
	h.notify()
	return h.err != nil && len(h.out) == 0
}

func (h *toyHandshake) Output(dst []byte) []byte {
	n := len(h.out)
	if n > 0 {
		n = 1 + h.rng.IntN(n)
	}
	dst = append(dst, h.out[:n]...)
	if h.out = h.out[n:]; len(h.out) > 0 {
		h.notify()
	}
	return dst
}

func (h *toyHandshake) Done() (bool, error) { return h.done && len(h.out) == 0, h.err }

func (h *toyHandshake) Stream(*any) (layer.Stream, []byte) {
	return &toyStream{run: h.run, rng: h.rng}, h.in[len(toyHello):]
}

func (h *toyHandshake) Cancel(reason error) {
	if reason == nil {
		h.run.err = errors.New("a handshake is canceled without a reason")
	}
}

// peer is the remote end of a connection: a *sim.Peer, or one behind the layer.
type peer interface {
	Local() netip.AddrPort
	Send(b []byte) int
	Recv(max int) []byte
	CanSend() bool
	EOF() bool
	Err() error
	Faulted() bool
	CloseWrite()
	Close()
	Reset()
}

// dial connects a client.
func (r *run) dial() peer {
	var p peer = r.net.Dial(r.ln.Addr())
	if r.proxied {
		p = newProxyPeer(r, p)
	}
	if !r.layered {
		return p
	}
	return &toyPeer{peer: p, r: r, stream: toyStream{rng: r.source(-int(p.Local().Port()))}, out: []byte(toyHello)}
}

// toyPeer is a client behind the layer.
type toyPeer struct {
	peer
	r        *run
	stream   toyStream
	out      []byte // sealed, not sent
	in       []byte // received, not opened
	plain    []byte // opened, not delivered
	welcomed bool
	closing  bool
}

func (p *toyPeer) flush() {
	if len(p.out) > 0 {
		p.out = p.out[p.peer.Send(p.out):]
	}
	if p.closing && len(p.out) == 0 && p.peer.CanSend() {
		p.peer.CloseWrite()
	}
}

func (p *toyPeer) Send(b []byte) int {
	p.flush()
	if len(p.out) > 4096 || !p.peer.CanSend() || p.closing {
		return 0
	}
	if p.stream.rng.IntN(8) == 0 {
		p.out = p.stream.seal(p.out, toyAsk, nil)
		p.stream.asked++
	}
	p.out = p.stream.Seal(p.out, b)
	p.flush()
	return len(b)
}

func (p *toyPeer) CanSend() bool { return p.peer.CanSend() && !p.closing }

func (p *toyPeer) Recv(n int) []byte {
	p.flush()
	p.in = append(p.in, p.peer.Recv(n)...)
	if !p.welcomed {
		if len(p.in) < len(toyReply) {
			return nil
		}
		if string(p.in[:len(toyReply)]) != toyReply {
			panic(fmt.Sprintf("the reply is %q", p.in))
		}
		p.in, p.welcomed = p.in[len(toyReply):], true
	}
	for more := true; more; _, more = p.stream.Work() {
		from, to, end, _ := p.stream.Open(p.in, 0)
		p.plain = append(p.plain, p.in[from:to]...)
		p.in = append([]byte(nil), p.in[to:end]...)
	}
	k := min(n, len(p.plain))
	b := p.plain[:k]
	p.plain = p.plain[k:]
	return b
}

// EOF is true only if the layer has ended, too, unless a fault has cut it off.
func (p *toyPeer) EOF() bool {
	if !p.peer.EOF() || len(p.plain) > 0 {
		return false
	}
	calm := !p.Faulted() && p.r.net.Counts().NoMemory == 0
	ending := p.closing || p.r.hand.cuts(p.Local().Port())
	if calm && p.welcomed && (p.stream.err == nil || p.stream.asked > 0 && !ending) {
		panic(fmt.Sprintf("the FIN has come without the layer's end, or without %d answers", p.stream.asked))
	}
	return true
}

func (p *toyPeer) CloseWrite() {
	p.out = p.stream.SealEnd(p.out)
	p.closing = true
	p.flush()
}

// TestSimulatedLayer is TestSimulatedTCPEcho behind a layer.
func TestSimulatedLayer(t *testing.T) {
	s := tcpScenario
	s.layered = true
	simulate(t, seeds(t), s.run)
}
