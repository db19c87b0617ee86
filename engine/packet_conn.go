package engine

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// PacketConn is a datagram socket. Its methods may be called only on its loop: by its
// PacketProtocol, in the accept function, and in functions given to PacketListener.Post,
// Engine.Post and AfterFunc. Other goroutines use its Listener. A wrong call fails as described at
// Conn.
type PacketConn struct {
	loop     *loop
	listener *PacketListener
	proto    PacketProtocol
	fd       int
	token    driver.Token
	inet6    bool
	blocked  bool // the kernel took less than there was
	closed   bool
	told     bool // of the engine's shutdown
	reason   error
	queue    []driver.Datagram // accepted by WriteTo while blocked
	queued   int               // bytes of queue
	timers   *Timer            // list of AfterFunc's timers
}

// open adds the socket to its loop.
func (p *PacketConn) open(accept func(*PacketConn) PacketProtocol) {
	l := p.loop
	if l.stopping {
		p.closed = true
		p.listener.file.Remove()
		l.engine.backend.CloseFd(p.fd)
		return
	}
	slot, gen := l.packets.conns.Insert(p)
	p.token = driver.MakeToken(slot|driver.DatagramBit, gen)
	if err := l.poller.Register(p.fd, p.token, driver.Read); err != nil {
		p.end(fmt.Errorf("engine: listen: %w", err))
		return
	}
	defer func() {
		if p.proto == nil { // accept has returned nil, or has panicked
			p.end(ErrRefused)
		}
	}()
	p.proto = accept(p)
}

// Listener returns what PacketConfig.Listen returned for the socket, for other goroutines.
func (p *PacketConn) Listener() *PacketListener { return p.listener }

// Loop returns the number of the socket's loop, from 0 to Config.Loops-1.
func (p *PacketConn) Loop() int { return p.loop.index }

// LocalAddr returns the address that the socket is bound to.
func (p *PacketConn) LocalAddr() netip.AddrPort { return p.listener.addr }

// JoinGroup joins a multicast group on the named interface; "" means the system's choice. It uses
// IP_ADD_MEMBERSHIP of ip(7), or IPV6_JOIN_GROUP. It returns ErrClosed after Close.
func (p *PacketConn) JoinGroup(group netip.Addr, ifname string) error {
	return p.setGroup(group, ifname, true)
}

// LeaveGroup leaves a multicast group that was joined on the same interface.
func (p *PacketConn) LeaveGroup(group netip.Addr, ifname string) error {
	return p.setGroup(group, ifname, false)
}

func (p *PacketConn) setGroup(group netip.Addr, ifname string, join bool) error {
	switch {
	case p.closed:
		return ErrClosed
	case !group.IsMulticast():
		return fmt.Errorf("engine: %v is no multicast address", group)
	}
	p.loop.checkTurn()
	return p.loop.sockets.SetGroup(p.fd, group, ifname, join)
}

// AfterFunc calls f on the loop after d, unless the socket is closed by then: see Conn.AfterFunc.
// For a steady tick use Engine.NewTicker.
func (p *PacketConn) AfterFunc(d time.Duration, f func()) *Timer {
	needFunc("AfterFunc", "f", f == nil)
	t := &Timer{loop: p.loop, packets: p, f: func() {
		if !p.closed {
			f()
		}
	}}
	if p.closed {
		return t
	}
	p.loop.checkTurn()
	t.link(&p.timers)
	p.loop.start(t, d)
	return t
}

// Close closes the socket when the current call has returned. What is queued is tried once more.
func (p *PacketConn) Close() { p.end(nil) }

func (p *PacketConn) wait(from, to driver.Interest) {
	if err := p.loop.poller.SetInterest(p.fd, p.token, from, to); err != nil {
		p.end(fmt.Errorf("engine: %w", err))
	}
}

// end marks the socket as closed. settlePackets does the rest.
func (p *PacketConn) end(reason error) {
	if !p.closed {
		p.loop.checkTurn()
		p.closed, p.reason = true, reason
		p.loop.packets.ended = append(p.loop.packets.ended, p)
	}
}
