package kqueue

import (
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// filter is what a kernel event is about.
type filter uint8

const (
	readable filter = iota // EVFILT_READ
	writable               // EVFILT_WRITE
	gone                   // EVFILT_READ that tells only of an end or an error, once for each
	other                  // the waking pipe's and unknown ones: nothing to deliver
)

// event is a kevent, translated as far as the systems differ.
type event struct {
	token  driver.Token  // of the descriptor when kevent(2) returned
	filter filter        // read, write or other
	eof    bool          // EV_EOF: the peer's FIN (read filter) or a hang-up (write filter)
	err    syscall.Errno // of EV_ERROR, or of fflags with EV_EOF: mostly a reset
}

// batch is what one kevent(2) returned. Tokens are looked up at that moment, before anything is
// delivered: the kernel knows only descriptors. An earlier event of the batch can close a
// connection, and its descriptor can have a new owner when the next event is delivered. That event
// must still carry the token of the closed connection.
type batch struct {
	events []event
	order  driver.Rotation // of events; what a panic leaves is still to be delivered
}

// io is what delivery needs from the system.
type io interface {
	read(fd int, b []byte) (int, syscall.Errno)
	accept(t driver.Token) (int, syscall.Errno)
}

func (b *batch) pending() bool { return b.order.Left() > 0 }

// deliver delivers what is left of the batch, and returns how much that was.
func (b *batch) deliver(s driver.Sink, sys io) int {
	n := b.order.Left()
	for b.order.Left() > 0 {
		e := b.events[b.order.Next()]
		switch {
		case e.filter == other || e.token == 0:
		case e.token.Slot()&driver.ListenerBit != 0:
			accept(e.token, s, sys)
		case e.token.Slot()&driver.DatagramBit != 0 && e.filter == readable:
			s.Datagrams(e.token)
		case e.err != 0 && e.filter == readable && !e.eof: // EV_ERROR: the registration failed
			s.Failed(e.token, e.err)
		case e.filter == writable:
			s.Writable(e.token) // with EV_EOF the write that follows shows why
		default:
			read(e, s, sys)
		}
	}
	return n
}

// read reads while the sink asks for more. EV_EOF needs no case of its own: the kernel keeps the
// bytes that came before the FIN. The read behind them returns 0, or the error of a reset. If the
// connection is not read from, the sink looks what the end is: see change.
func read(e event, s driver.Sink, sys io) {
	for {
		fd, buf := s.Reading(e.token)
		if fd < 0 {
			if e.eof {
				s.Writable(e.token)
			}
			return
		}
		n, errno := sys.read(fd, buf)
		switch {
		case n > 0:
			if !s.Received(e.token, buf[:n], n == len(buf)) {
				return
			}
		case errno == 0:
			s.ReadClosed(e.token)
			return
		case errno == syscall.EAGAIN:
			if e.eof && e.err != 0 {
				s.Failed(e.token, e.err)
			}
			return
		default:
			s.Failed(e.token, errno)
			return
		}
	}
}

func accept(t driver.Token, s driver.Sink, sys io) {
	for {
		c, errno := sys.accept(t)
		switch errno {
		case 0:
			if !s.Accepted(t, c) {
				return
			}
		case syscall.EAGAIN: // also if the listener was closed by an earlier event
			return
		case syscall.EINTR, syscall.ECONNABORTED:
		default:
			s.AcceptFailed(t, errno)
			return
		}
	}
}

// owners are the tokens of descriptors. Descriptors are small and dense, so this is a slice.
type owners []driver.Token

func (o *owners) set(fd int, t driver.Token) {
	for fd >= len(*o) {
		*o = append(*o, 0)
	}
	(*o)[fd] = t
}

// of returns the token of a descriptor, 0 if it has none.
func (o owners) of(fd int) driver.Token {
	if fd < 0 || fd >= len(o) {
		return 0
	}
	return o[fd]
}

// change is one addition to or removal from the kernel's list.
type change struct {
	filter filter
	add    bool
}

// registrations are the filters of a descriptor in the kernel's list, one bit for each.
type registrations uint8

// registered returns the filters of an interest. A connection without any has gone, which is how it
// hears of a reset.
func registered(i driver.Interest) (r registrations) {
	if i&driver.Read != 0 {
		r |= 1 << readable
	}
	if i&driver.Write != 0 {
		r |= 1 << writable
	}
	if r == 0 {
		r = 1 << gone
	}
	return r
}

// changes returns what leads from some registrations to others. What is removed comes first:
// readable and gone are the same filter of the kernel.
func changes(from, to registrations) (c [3]change, n int) {
	for _, add := range [...]bool{false, true} {
		of := from &^ to
		if add {
			of = to &^ from
		}
		for f := readable; f <= gone; f++ {
			if of&(1<<f) != 0 {
				c[n] = change{f, add}
				n++
			}
		}
	}
	return c, n
}
