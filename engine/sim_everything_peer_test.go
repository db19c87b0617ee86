package engine_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// What a speaker says are records: a header with a class, the length of the body, the number within
// the class, and, of what the speaker's own loop writes, the number in the order of writing. So the
// peer can tell what is missing, doubled or out of order, even where some may be missing.
const (
	surely    = iota // written on the loop; none may be missing
	droppable        // the same, with a policy that drops
	sent             // by Handle.Send
	shared           // by Broadcast, with any policy
	classes
)

const headerSize = 12

func record(class int, n int, number, order uint32) []byte {
	b := make([]byte, headerSize+n)
	binary.BigEndian.PutUint32(b, uint32(n))
	b[0] = 0xa0 | byte(class)
	binary.BigEndian.PutUint32(b[4:], number)
	binary.BigEndian.PutUint32(b[8:], order)
	fillPattern(b[headerSize:], int(number)*31+class*17)
	return b
}

// reader takes records apart.
type reader struct {
	buf   []byte // of a record that is not whole yet
	bytes int
	next  [classes]uint32
	got   [classes]int
	order uint32
}

func (in *reader) read(b []byte) error {
	in.bytes += len(b)
	in.buf = append(in.buf, b...)
	for len(in.buf) >= headerSize {
		class, n := int(in.buf[0]&^0xa0), int(binary.BigEndian.Uint32(in.buf)&0xffffff)
		number, order := binary.BigEndian.Uint32(in.buf[4:]), binary.BigEndian.Uint32(in.buf[8:])
		if in.buf[0]&0xf0 != 0xa0 || class >= classes {
			return fmt.Errorf("byte %d is no beginning of a record", in.bytes-len(in.buf))
		}
		gap := number != in.next[class]
		if class == droppable || class == shared {
			gap = number < in.next[class]
		}
		if gap || class <= droppable && order < in.order {
			return fmt.Errorf("a record of class %d has number %d, order %d; want %d, %d", class, number, order,
				in.next[class], in.order)
		}
		if len(in.buf) < headerSize+n {
			return nil
		}
		if body := in.buf[headerSize : headerSize+n]; !isPattern(body, int(number)*31+class*17) {
			return fmt.Errorf("record %d of class %d, of %d bytes, is wrong: %x", number, class, n, body)
		}
		if class <= droppable {
			in.order = order + 1
		}
		in.next[class] = number + 1
		in.got[class]++
		in.buf = in.buf[headerSize+n:]
	}
	return nil
}

// complete says what is missing of what s has said so far.
func (in *reader) complete(s *speaker) error {
	switch {
	case len(in.buf) > 0:
		return fmt.Errorf("%d bytes of a record came, and not the rest", len(in.buf))
	case in.next[surely] != s.said[surely]:
		return fmt.Errorf("%d of %d records came", in.next[surely], s.said[surely])
	case in.next[sent] < s.sent:
		return fmt.Errorf("%d of %d records of Handle.Send came", in.next[sent], s.sent)
	}
	return nil
}

// visitor is the remote end of a connection. It sends a pattern and may be slow or rude.
type visitor struct {
	w           *world
	rng         *rand.Rand
	p           *sim.Peer
	s           *speaker // that serves it; nil: none so far
	in          reader
	total, sent int
	rude        int // 0: CloseWrite in the end; 1: Reset; 2: Close; 3: silence
	lazy        int // turns to go until it reads again
	calm        bool
	gone        bool // it has closed the connection itself
	eof         bool
}

func (w *world) visit(p *sim.Peer, rng *rand.Rand) *visitor {
	v := &visitor{w: w, rng: rng, p: p, total: upTo(rng, 14), rude: max(0, rng.IntN(7)-3), calm: w.calming}
	w.visitors = append(w.visitors, v)
	return v
}

func (v *visitor) step() {
	if v.gone {
		return
	}
	if most := v.total - v.sent; most > 0 && (v.calm || one(v.rng, 2)) {
		b := make([]byte, 1+v.rng.IntN(min(most, 3000)))
		fillPattern(b, v.sent)
		v.sent += v.p.Send(b)
	}
	switch {
	case v.calm:
		v.read(1 << 20)
	case v.lazy > 0:
		v.lazy--
	case one(v.rng, 30):
		v.lazy = v.rng.IntN(150)
	default:
		v.read(v.rng.IntN(1 << v.rng.IntN(15)))
	}
	switch {
	case v.p.EOF() && !v.eof:
		v.atEOF()
	case v.sent < v.total && !v.eof || v.p.Err() != nil:
	case v.rude == 1 && !v.calm:
		v.gone = true
		v.p.Reset()
	case v.rude == 2 && !v.calm:
		v.gone = true
		v.p.Close()
	case (v.rude == 0 || v.calm && v.rng.IntN(4) == 0) && v.p.CanSend():
		v.p.CloseWrite()
	}
}

func (v *visitor) read(most int) {
	if err := v.in.read(v.p.Recv(most)); err != nil {
		v.w.failf("peer %v: %w", v.p.Local(), err)
	}
}

// atEOF is a FIN of the server's: a promise that this was all.
func (v *visitor) atEOF() {
	v.eof = true
	if v.s == nil || v.s.released {
		return
	}
	if err := v.in.complete(v.s); err != nil {
		v.w.failf("a clean EOF for peer %v, but %w (reason so far: %v)", v.p.Local(), err, v.s.reason)
	}
	v.w.unheard += uint64(int(v.s.said[droppable]) - v.in.got[droppable])
}

// leave ends the connection in a way that the server must cope with at once.
func (v *visitor) leave() {
	if !v.gone && v.p.Err() == nil {
		v.gone = true
		if one(v.rng, 2) {
			v.p.Close()
		} else {
			v.p.Reset()
		}
	}
}

// ended compares how the connection ended for the peer and for the server.
func (v *visitor) ended() {
	s := v.s
	if s == nil || v.gone || v.p.Faulted() || s.released || s.abrupt || !s.orderly() {
		return
	}
	if err := v.p.Err(); err != nil {
		v.w.failf("peer %v got %w, the server thinks that all went well: %v", v.p.Local(), err, s.reason)
	}
}

// orderly says that the connection ended well, as Closed was told.
func (s *speaker) orderly() bool {
	var unsent *engine.UnsentError
	return s.done && !errors.As(s.reason, &unsent) && (s.reason == nil || errors.Is(s.reason, engine.ErrPeerClosed))
}
