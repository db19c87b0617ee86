package load

import (
	"bytes"

	"github.com/myriadnet/myriad/engine"
)

// conn is an open connection. It is small, because there may be a million.
type conn struct {
	c       *engine.Conn
	w       *worker
	decoder *decoder // nil as long as the server's frames are the expected bytes
	at      int64    // when the message was sent, if only one is in flight
	rx      uint32   // bytes of the current reply that have arrived
	index   uint32   // in worker.conns
	got     uint32   // replies, as the job counts them; those of the sender in all
	flags   connFlags
}

type connFlags uint8

const (
	bad     connFlags = 1 << iota // the current reply has a wrong byte
	leaving                       // we have sent a Close frame or a FIN
	dead                          // the connection is closed
	sender                        // it sends the broadcasts, and is not in worker.conns
)

// Feed implements engine.Protocol. It compares the stream of replies with the expected bytes,
// however it is split. It decodes nothing as long as both are the same.
func (c *conn) Feed(src []byte) (int, error) {
	m := c.w.session.message
	total := int(c.rx) + len(src)
	if c.decoder != nil || c.flags&(bad|leaving) != 0 || total > len(m.replies) ||
		!bytes.Equal(src, m.replies[c.rx:total]) {
		return len(src), c.unexpected(src)
	}
	n := 1
	if total == m.reply {
		c.rx = 0
	} else {
		n = total / m.reply
		c.rx = uint32(total - n*m.reply)
	}
	if n > 0 {
		return len(src), c.arrived(n)
	}
	return len(src), nil
}

// unexpected takes bytes that are not the expected ones, or that follow such bytes. From a
// WebSocket they may be the same message in another form, or a control frame. From raw TCP they are
// wrong, and the length tells where the next reply begins.
func (c *conn) unexpected(src []byte) error {
	m := c.w.session.message
	if m.op != 0 {
		if c.flags&leaving != 0 && c.decoder == nil && bytes.Equal(src, closeReply) {
			return nil
		}
		if c.decoder == nil {
			c.decoder = newDecoder(c)
		}
		return c.decoder.feed(c, src)
	}
	n := 0
	for len(src) > 0 {
		k := min(m.reply-int(c.rx), len(src))
		if !bytes.Equal(src[:k], m.payload[c.rx:int(c.rx)+k]) {
			c.flags |= bad
		}
		c.rx += uint32(k)
		src = src[k:]
		if int(c.rx) == m.reply {
			c.rx = 0
			c.ended()
			n++
		}
	}
	if n == 0 || c.flags&leaving != 0 {
		return nil
	}
	return c.arrived(n)
}

// arrived tells the job about n replies. The connection that broadcasts is not part of a job.
func (c *conn) arrived(n int) error {
	if c.flags&sender != 0 {
		c.w.session.ownBroadcasts(c, n)
		return nil
	}
	return c.w.job.arrived(c, n)
}

// ended ends the current reply, and counts it if it was wrong.
func (c *conn) ended() {
	if c.flags&bad != 0 {
		c.flags &^= bad
		c.w.wrong++
	}
}

// Closed implements engine.Protocol.
func (c *conn) Closed(err error) {
	if c.decoder != nil {
		c.decoder.session.Release()
	}
	c.flags |= dead
	c.w.session.closed(c, err)
	if c.flags&sender == 0 {
		c.w.job.lost(c)
	}
}
