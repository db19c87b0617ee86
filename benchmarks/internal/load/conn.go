package load

import (
	"bytes"

	"github.com/myriadnet/myriad/engine"
)

// conn is an open connection. It is small, since there may be a million.
type conn struct {
	c       *engine.Conn
	w       *worker
	decoder *decoder // of a WebSocket whose frames are not the expected bytes
	at      int64    // when a message was sent, where only one is under way
	rx      uint32   // bytes of the current reply that have come
	index   uint32   // in worker.conns
	got     uint32   // replies, as the job counts them; the sender's in all
	flags   connFlags
}

type connFlags uint8

const (
	bad     connFlags = 1 << iota // the current reply has a wrong byte
	leaving                       // we have sent a Close frame, or a FIN
	dead                          // it is closed
	sender                        // of broadcasts: it is none of worker.conns
)

// Feed implements engine.Protocol. Replies are compared as a stream with what they should be, across any splits: nothing is
// decoded as long as they are the same, byte for byte.
func (c *conn) Feed(src []byte) (int, error) {
	m := c.w.session.message
	total := int(c.rx) + len(src)
	if c.decoder != nil || c.flags&(bad|leaving) != 0 || total > len(m.replies) || !bytes.Equal(src, m.replies[c.rx:total]) {
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

// unexpected takes what is not the expected bytes, or follows such. Of a WebSocket that may be the same message in another
// form, or a control frame. Of bare TCP it is wrong, and the lengths have to tell where replies begin.
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

// arrived tells the job of n replies. The connection that broadcasts is no part of a job.
func (c *conn) arrived(n int) error {
	if c.flags&sender != 0 {
		c.w.session.ownBroadcasts(c, n)
		return nil
	}
	return c.w.job.arrived(c, n)
}

// ended counts a reply that was wrong.
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
