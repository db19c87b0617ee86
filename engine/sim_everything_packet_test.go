package engine_test

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// packetWorld is the part of the world that is made of datagrams: sockets with and without sessions
// that answer and are closed at any time.
type packetWorld struct {
	listeners []*engine.PacketListener
	lives     []*packetLife
	number    uint32

	came, out, inBytes, outBytes uint64
	accepted                     map[uint32]int              // by number: how often an answer was
	told                         map[*engine.PacketConn]bool // to close, or to end with an error
}

// packetLife is a PacketProtocol or SessionProtocol.
type packetLife struct {
	w       *world
	rng     *rand.Rand
	what    string
	p       *engine.PacketConn
	session *engine.Session // nil: it serves the socket
	over    bool            // told to close
	warned  bool            // Shutdown was called
	closed  int
}

func (w *world) newPacketLife(what string, p *engine.PacketConn, s *engine.Session) *packetLife {
	l := &packetLife{w: w, what: what, p: p, session: s,
		rng: rand.New(rand.NewPCG(w.tr.seed, 1<<34+uint64(len(w.packets.lives))))}
	w.packets.lives = append(w.packets.lives, l)
	return l
}

func (pw *packetWorld) task(w *world, rng *rand.Rand) {
	if len(pw.listeners) == 0 || len(pw.listeners) < 4 && one(rng, 30) {
		pw.listen(w, rng)
		return
	}
	pl := pw.listeners[rng.IntN(len(pw.listeners))]
	switch rng.IntN(12) {
	default:
		for range upTo(rng, 4) {
			pw.number++
			b := make([]byte, 4+rng.IntN(upTo(rng, 10)))
			binary.BigEndian.PutUint32(b, pw.number)
			pw.inBytes += uint64(len(b) * w.net.SendPacket(sim.Packet{From: addrOf(rng.IntN(5)), To: pl.Addr(),
				Data: b}))
		}
	case 0:
		pl.SendTo(pw.answer(0), engine.PacketAddr{AddrPort: addrOf(1)})
	case 1:
		pl.SendTo(pw.answer(0), engine.PacketAddr{}) // which is refused
	case 2:
		pl.Post(func(p *engine.PacketConn) {
			defer w.call("PacketListener.Post")()
			if p.Listener() != pl || p.LocalAddr() != pl.Addr() || p.Loop() >= w.eng.Loops() {
				w.failf("a datagram socket is not what it was")
			}
		})
	case 3:
		if one(rng, 6) {
			pl.Close()
		}
	}
}

func (pw *packetWorld) listen(w *world, rng *rand.Rand) {
	if pw.accepted == nil {
		pw.accepted, pw.told = map[uint32]int{}, map[*engine.PacketConn]bool{}
	}
	accept := func(p *engine.PacketConn) engine.PacketProtocol {
		defer w.call("accept of a datagram socket")()
		l := w.newPacketLife("datagram socket", p, nil)
		l.closed++ // until it is returned
		if l.act(); one(l.rng, 20) {
			return nil
		}
		l.closed--
		return l
	}
	if one(rng, 2) {
		var sc engine.SessionConfig
		if !one(rng, 8) {
			sc = engine.SessionConfig{IdleTimeout: time.Duration(upTo(rng, 11)) * time.Millisecond,
				MaxSessions: 1 + rng.IntN(5)}
		}
		accept = sc.Accept(func(s *engine.Session) engine.SessionProtocol {
			defer w.call("accept of a session")()
			l := w.newPacketLife("session", s.PacketConn(), s)
			l.closed++ // until it is returned
			if s.RemoteAddr().Port() != 999 {
				w.failf("a session with %v", s.RemoteAddr())
			}
			w.packets.came++
			if l.act(); one(l.rng, 10) {
				return nil
			}
			if l.closed--; !l.over {
				w.packets.came-- // Datagram counts it
			}
			return l.asSession()
		})
	}
	pl, err := engine.PacketConfig{PerLoop: one(rng, 2)}.Listen(w.eng, "udp", "127.0.0.1:0", accept)
	if err == nil {
		pw.listeners = append(pw.listeners, pl)
	}
	if _, err := w.eng.ListenPacket("udplite", "127.0.0.1:0", accept); err == nil {
		w.failf("ListenPacket knows UDP-Lite")
	}
}

// answer is a datagram for the number that came; 0 is for none.
func (pw *packetWorld) answer(number uint32) []byte {
	pw.accepted[number]++
	return binary.BigEndian.AppendUint32(nil, number)
}

// sessionLife is a packetLife as a SessionProtocol.
type sessionLife struct{ *packetLife }

func (l *packetLife) asSession() engine.SessionProtocol { return sessionLife{l} }

func (l sessionLife) Datagram(b []byte) {
	l.packetLife.Datagram(l.session.RemoteAddr(), b)
}

func (l *packetLife) Datagram(from engine.PacketAddr, b []byte) {
	defer l.w.call(l.what + ": Datagram")()
	l.w.packets.came++
	if l.closed > 0 {
		l.w.failf("%s: Datagram after Closed", l.what)
	}
	number := binary.BigEndian.Uint32(b)
	answer := l.w.packets.answer(number)
	var err error
	if l.session != nil {
		err = l.session.Write(answer)
	} else {
		err = l.p.WriteTo(answer, from)
	}
	if err != nil {
		l.w.packets.accepted[number]--
		if !errors.Is(err, engine.ErrOutboundLimit) && (err != engine.ErrClosed || !l.w.packets.told[l.p]) {
			l.w.failf("%s: %w", l.what, err)
		}
	}
	clear(b) // it may be modified
	l.act()
}

func (l *packetLife) Failed(to engine.PacketAddr, err error) {
	defer l.w.call(l.what + ": Failed")()
	if to.IsValid() {
		l.w.failf("%s: %v is refused: %w", l.what, to, err)
	}
	l.act()
}

func (l *packetLife) Shutdown() {
	defer l.w.call(l.what + ": Shutdown")()
	if l.warned || l.closed > 0 || !l.w.ending {
		l.w.failf("%s: Shutdown without reason", l.what)
	}
	l.warned = true
	l.act()
}

func (l *packetLife) Closed(err error) {
	defer l.w.call(l.what + ": Closed")()
	if l.closed++; l.closed > 1 {
		l.w.failf("%s: Closed again, with %v", l.what, err)
	}
	if err := l.p.WriteTo(nil, engine.PacketAddr{}); l.session == nil && err != engine.ErrClosed {
		l.w.failf("%s: WriteTo in Closed: %v", l.what, err)
	}
	l.act()
}

func (l *packetLife) act() {
	rng, p := l.rng, l.p
	switch rng.IntN(60) {
	case 0:
		p.AfterFunc(time.Duration(upTo(rng, 10))*time.Millisecond, func() {
			defer l.w.call("PacketConn.AfterFunc")()
			if l.session == nil && l.closed > 0 {
				l.w.failf("AfterFunc of a datagram socket that is closed")
			}
		})
	case 1:
		group := netip.MustParseAddr("224.0.0.251")
		err := errors.Join(p.JoinGroup(group, ""), p.LeaveGroup(group, ""))
		if err != nil && !errors.Is(err, engine.ErrClosed) || p.JoinGroup(addrOf(1).Addr(), "") == nil {
			l.w.failf("%s: a group: %w", l.what, err)
		}
	case 2:
		if err := p.WriteTo(make([]byte, engine.MaxDatagram+1), engine.PacketAddr{AddrPort: addrOf(0)}); err == nil {
			l.w.failf("%s: a datagram may be larger than the largest", l.what)
		}
	case 3, 4:
		if l.session != nil {
			l.over = true
			l.session.Close()
			if err := l.session.Write(nil); err != engine.ErrClosed {
				l.w.failf("%s: Write after Close: %v", l.what, err)
			}
		}
	case 5:
		if one(rng, 4) {
			l.w.packets.told[p] = true
			p.Close()
		}
	case 6:
		l.w.boom(rng)
	}
}

// collect takes what was sent.
func (pw *packetWorld) collect(w *world) {
	for _, p := range w.net.Packets() {
		pw.out++
		pw.outBytes += uint64(len(p.Data))
		number := binary.BigEndian.Uint32(p.Data)
		if pw.accepted[number]--; pw.accepted[number] < 0 {
			w.failf("datagram %d was answered once too often", number)
		}
	}
}

func (pw *packetWorld) ended(w *world) {
	for _, l := range pw.lives {
		if l.closed != 1 {
			w.failf("%s: Closed was called %d times", l.what, l.closed)
		}
	}
}

func (pw *packetWorld) refuses(w *world) {
	for _, pl := range pw.listeners {
		if err := pl.SendTo(nil, engine.PacketAddr{}); err != engine.ErrClosed {
			w.failf("SendTo after the end: %v", err)
		}
		if err := pl.Close(); err != engine.ErrClosed {
			w.failf("PacketListener.Close after the end: %v", err)
		}
	}
}
