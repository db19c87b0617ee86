package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// decoder is the receiving end of a WebSocket whose server compresses, fragments, pings or closes.
type decoder struct {
	session wsproto.Receiver
	rest    []byte // not consumed by the session: part of a header or of a control frame
	off     int    // bytes of the current message that have arrived
}

// sessionConfig is that of all decoders. Messages are compared piece by piece, and never put
// together.
var sessionConfig = wsproto.Config{Role: wsproto.Client, Limits: wsproto.Limits{MaxWhole: -1}, Stream: true,
	Compressor: deflate.New(deflate.Compression{MaxRatio: 1032})}

// newDecoder begins where c is: after those bytes of the current reply that were as expected.
func newDecoder(c *conn) *decoder {
	m := c.w.session.message
	if m.replies == nil {
		return &decoder{session: wsproto.NewReceiver(&sessionConfig,
			&wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true})}
	}
	return &decoder{session: wsproto.NewReceiver(&sessionConfig, nil), rest: bytes.Clone(m.replies[:c.rx])}
}

var errClosedByServer = errors.New("the server closed the WebSocket")

// feed takes all of src.
func (d *decoder) feed(c *conn, src []byte) error {
	if len(d.rest) > 0 {
		src = append(d.rest, src...)
	}
	n, replies, err := d.events(c, src)
	d.rest = append(d.rest[:0], src[n:]...)
	if replies > 0 && c.flags&leaving == 0 {
		err = cmp.Or(c.arrived(replies), err)
	}
	return err
}

// events handles the events in src. It returns how many bytes they take, and the number of replies.
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
				return len(src), replies, nil // the server closes it (RFC 6455 section 7.1.1)
			}
			return len(src), replies, fmt.Errorf("%w: code %d %q", errClosedByServer, ev.Code, ev.Payload)
		}
	}
}

// message compares a piece of a message, and reports whether it was the last one.
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
