//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// compose returns the frames of some messages and pings.
func (c *client) compose() (out []byte) {
	n := 1
	switch c.rand.IntN(8) {
	case 0:
		n = 2 + c.rand.IntN(5)
	case 1:
		out = c.ping(out)
	}
	if c.slow {
		n = 40
	}
	for range n {
		op := wsproto.Text
		if c.rand.IntN(3) == 0 {
			op = wsproto.Binary
		}
		m := c.message(op)
		c.owed, c.ops = append(c.owed, m), append(c.ops, op)
		if c.rand.IntN(4) > 0 {
			out = c.sender.Append(out, op, m)
			continue
		}
		for pieces := 2 + c.rand.IntN(4); pieces > 0; pieces-- { // in fragments
			k := c.rand.IntN(len(m) + 1)
			if pieces == 1 {
				k = len(m)
			}
			f := c.sender.Frame(op, m[:k], pieces == 1)
			out, m = f.Append(out), m[k:]
			if pieces > 1 && c.rand.IntN(2) == 0 {
				out = c.ping(out)
			}
		}
	}
	return out
}

// ping appends a ping, whose payload is its number.
func (c *client) ping(out []byte) []byte {
	c.pings++
	return c.sender.Append(out, wsproto.Ping, binary.BigEndian.AppendUint64(nil, c.pings))
}

var words = []string{"stock ", "price ", "rises ", "falls ", "by ", "5 % ", "10 % ", "Köln ", "東京 ", "€ ", "in ",
	"the "}

// message returns a message with its number, so that one that comes back instead of another can be
// told.
func (c *client) message(op wsproto.Opcode) (m []byte) {
	if n := len(c.spare); n > 0 {
		m, c.spare = c.spare[n-1][:0], c.spare[:n-1]
	}
	m = fmt.Appendf(m, "%d/%d ", c.id, c.seq)
	c.seq++
	size := 20 + c.rand.IntN(400)
	switch {
	case c.slow:
		size = 4 << 10
	case c.rand.IntN(40) == 0:
		size = 1 + c.rand.IntN(60<<10)
	}
	for len(m) < size {
		if op == wsproto.Binary && c.rand.IntN(3) == 0 {
			m = binary.BigEndian.AppendUint32(m, c.rand.Uint32())
			continue
		}
		m = append(m, words[c.rand.IntN(len(words))]...)
	}
	return m
}

// receive reads once, and checks what has come.
func (c *client) receive() error {
	for len(c.in) > 0 {
		ev, n, err := c.receiver.Next(c.in)
		if err != nil {
			return err
		}
		c.in = c.in[n:]
		if ev.Kind == wsproto.EventNone {
			break
		}
		if err := c.check(ev); err != nil {
			return err
		}
		if len(c.owed) == 0 && c.pong == c.pings {
			return nil
		}
	}
	rest := copy(c.buf, c.in)
	n, err := c.nc.Read(c.buf[rest:])
	now := time.Now()
	if wait := int64(now.Sub(c.heard)); wait > c.worst.Load() {
		c.worst.Store(wait)
	}
	c.heard = now
	c.in = c.buf[:rest+n]
	if err != nil && n == 0 {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = faultf("%d messages have not come back after %v", len(c.owed), patience)
		}
		return err
	}
	return nil
}

// fault is an error that no kill explains.
type fault struct{ text string }

func (f *fault) Error() string { return f.text }

func faultf(format string, args ...any) error { return &fault{fmt.Sprintf(format, args...)} }

// check compares an event with what is to come.
func (c *client) check(ev wsproto.Event) error {
	switch ev.Kind {
	case wsproto.EventMessage:
		if len(c.owed) == 0 {
			return faultf("a message too many: %.40q", ev.Payload)
		}
		want := c.owed[0]
		if ev.Opcode != c.ops[0] || !bytes.Equal(ev.Payload, want) {
			return faultf("a wrong message: %v of %d bytes, %.40q; want %v of %d bytes, %.40q", ev.Opcode,
				len(ev.Payload), ev.Payload, c.ops[0], len(want), want)
		}
		c.spare = append(c.spare, want)
		if len(c.spare) > 2 || cap(want) > 1<<10 {
			c.spare = c.spare[:len(c.spare)-1]
		}
		c.owed, c.ops = c.owed[1:], c.ops[1:]
		if len(c.owed) == 0 {
			c.owed, c.ops = nil, nil
		}
	case wsproto.EventPong: // only the last of several pings need be answered
		if len(ev.Payload) != 8 {
			return faultf("a pong of %d bytes", len(ev.Payload))
		}
		n := binary.BigEndian.Uint64(ev.Payload)
		if n <= c.pong || n > c.pings {
			return faultf("pong %d after %d, of %d", n, c.pong, c.pings)
		}
		c.pong = n
	case wsproto.EventClose:
		return fmt.Errorf("%w: code %d, %q", errClosed, ev.Code, ev.Payload)
	default:
		return faultf("event %d", ev.Kind)
	}
	return nil
}

var errClosed = errors.New("the server has closed the connection")
