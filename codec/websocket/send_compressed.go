package websocket

import (
	"sync"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Compression is permessage-deflate (RFC 7692), of a Server or a Client. Conn.SendPlain sends a message without it.
type Compression = deflate.Compression

// policy is what this end is prepared to do for one more connection.
func (s *service) policy() wsproto.Deflate { return s.compression.Policy(int(s.windows.Load())) }

// deflate puts into force what was agreed on.
func (c *Conn) deflate(d wsproto.Deflate) {
	role := c.service.receive.Role
	c.setSendBits(d.SendBits(role))
	if d.SendTakeover(role) {
		c.makeRare().window = wsproto.NewWindow(c.sendBits())
	}
	c.service.windows.Add(int64(c.windowBytes()))
}

// window is that of what was sent compressed; nil without context takeover.
func (c *Conn) window() *wsproto.Window {
	if c.rare == nil {
		return nil
	}
	return c.rare.window
}

func (c *Conn) windowBytes() int {
	n := c.receiver.WindowBytes()
	if w := c.window(); w != nil {
		n += w.Size()
	}
	return n
}

// scratch is where messages are compressed to.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

const keptScratch = 64 << 10

func putScratch(p *[]byte) {
	if cap(*p) <= keptScratch {
		scratch.Put(p)
	}
}

// compresses says whether a message of n bytes goes out compressed, where that was agreed on: sendBits is not 0.
func (c *Conn) compresses(n int) bool { return n >= c.service.compression.Threshold }

// sendCompressed sends a message compressed, or as it is where that is no longer.
func (c *Conn) sendCompressed(op Opcode, data []byte) error {
	p := scratch.Get().(*[]byte)
	defer putScratch(p)
	var before []byte
	window := c.window()
	if window != nil {
		before = window.Bytes()
	}
	out, err := deflate.Append((*p)[:0], data, before, c.service.compression.Level, c.sendBits())
	*p = out[:0]
	if err != nil || len(out) >= len(data) { // what was not sent compressed is in nobody's window
		return c.write(wsproto.Header{Fin: true, Opcode: op}, data)
	}
	if err := c.write(wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: op}, out); err != nil {
		return err
	}
	if window != nil {
		window.Add(data)
	}
	return nil
}
