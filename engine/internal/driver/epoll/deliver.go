//go:build linux

package epoll

import (
	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// deliver delivers what is left of the batch, and returns how much that was.
func (p *poller) deliver(s driver.Sink) int {
	n := p.batch.Left()
	for p.batch.Left() > 0 {
		ev := &p.events[p.batch.Next()]
		t := driver.MakeToken(uint32(ev.Fd), uint32(ev.Pad))
		switch {
		case t == wakeToken:
		case t.Slot()&driver.ListenerBit != 0:
			p.Accept(t, s)
		case t.Slot()&driver.DatagramBit != 0:
			if ev.Events&unix.EPOLLOUT != 0 {
				s.Writable(t)
			}
			if ev.Events&^unix.EPOLLOUT != 0 {
				s.Datagrams(t)
			}
		default:
			if ev.Events&unix.EPOLLOUT != 0 {
				s.Writable(t) // first: it frees memory, reading takes some
			}
			if ev.Events&^unix.EPOLLOUT != 0 {
				read(t, s, ev.Events)
			}
		}
	}
	return n
}

// read reads while the sink asks for more. EPOLLHUP and EPOLLERR come here, too: the read shows
// what happened.
func read(t driver.Token, s driver.Sink, events uint32) {
	for {
		fd, buf := s.Reading(t)
		if fd < 0 {
			if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
				s.Writable(t) // it is not read from: the write that follows fails
			}
			return
		}
		n, errno := readNow(fd, buf)
		switch {
		case n > 0:
			if !s.Received(t, buf[:n], n == len(buf)) {
				return
			}
		case errno == 0:
			s.ReadClosed(t)
			return
		case errno == unix.EAGAIN:
			if events&unix.EPOLLERR != 0 {
				if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && v != 0 {
					s.Failed(t, unix.Errno(v))
				}
			}
			return
		default:
			s.Failed(t, errno)
			return
		}
	}
}

func (p *poller) Accept(t driver.Token, s driver.Sink) {
	for {
		c, errno := p.listeners.Accept(t)
		switch errno {
		case 0:
			if !s.Accepted(t, c) {
				return
			}
		case unix.EAGAIN:
			return
		case unix.EINTR, unix.ECONNABORTED:
		default:
			s.AcceptFailed(t, errno)
			return
		}
	}
}
