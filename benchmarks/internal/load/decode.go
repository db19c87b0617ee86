package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// decoder is a WebSocket client's receiving end, for a server that compresses, fragments, pings or closes.
type decoder struct {
	session wsproto.Receiver
	rest    []byte // that the session has not consumed: part of a header or of a control frame
	off     int    // bytes of the current message that have come
}

// sessionConfig is that of all decoders. Messages are compared piece by piece, and never put together.
var sessionConfig = wsproto.Config{Role: wsproto.Client, Limits: wsproto.Limits{MaxWhole: -1}, Stream: true,
	Compressor: deflate.New(deflate.Compression{MaxRatio: 1032})}

// newDecoder begins where c is: behind the bytes of the current reply that were as expected.
func newDecoder(c *conn) *decoder {
	m := c.w.session.message
	d := &decoder{session: wsproto.NewReceiver(&sessionConfig)}
	if m.replies == nil {
		d.session.Deflate(wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true})
	} else {
		d.rest = bytes.Clone(m.replies[:c.rx])
	}
	return d
}

var errClosedByServer = errors.New("the server has closed the WebSocket")

// feed takes the next bytes, all of them.
func (d *decoder) feed(c *conn, src []byte) error {
	if len(d.rest) > 0 {
		src = append(d.rest, src...)
	}
	n, replies, err := d.events(c, src)
	d.rest = append(d.rest[:0], src[n:]...)
	if replies > 0 && c.flags&leaving == 0 {
		err = cmp.Or(c.w.job.arrived(c, replies), err)
	}
	return err
}

// events takes what src has of events, n bytes.
func (d *decoder) events(c *conn, src []byte) (n, replies int, err error) {
	for {
		ev, k, err := d.session.Next(src[n:])
		n += k
		if err != nil {
			return n, replies, err
		}
		switch ev.Kind {
		case wsproto.EventNone:
			return n, replies, nil
		case wsproto.EventMessage, wsproto.EventPiece, wsproto.EventLast:
			if d.message(c, ev) {
				replies++
			}
		case wsproto.EventPing:
			c.c.Write(wsproto.AppendMasked(nil, wsproto.Pong, maskingKey, ev.Payload))
		case wsproto.EventClose:
			if c.flags&leaving != 0 {
				return len(src), replies, nil // the server closes the connection now: RFC 6455 section 7.1.1
			}
			return len(src), replies, fmt.Errorf("%w: code %d %q", errClosedByServer, ev.Code, ev.Payload)
		}
	}
}

// message compares a piece of a message, and says whether it was the last one.
func (d *decoder) message(c *conn, ev wsproto.Event) (whole bool) {
	m := c.w.session.message
	end := d.off + len(ev.Payload)
	if ev.Opcode != m.op || end > len(m.payload) || !bytes.Equal(ev.Payload, m.payload[d.off:end]) {
		c.flags |= bad
	}
	d.off = end
	if ev.Kind == wsproto.EventPiece {
		return false
	}
	if d.off != len(m.payload) {
		c.flags |= bad
	}
	d.off = 0
	c.ended()
	return true
}
