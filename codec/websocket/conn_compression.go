package websocket

import (
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Compression is permessage-deflate (RFC 7692), of a Server or a Client. Conn.SendPlain sends a
// message without it. Its fields are those of deflate.Compression.
type Compression = deflate.Compression

// policy returns what this end is prepared to do for one more connection.
func (s *service) policy() wsproto.Deflate { return s.compression.Policy(int(s.windows.Load())) }

// senders are those of the connections without context takeover, by the size of the window that
// they compress with; the first one does not compress. They have no state that changes, so that all
// connections share them.
type senders [wsproto.MaxWindowBits + 1]wsproto.Sender

// makeSenders makes those that config needs.
func makeSenders(config *wsproto.Config) (s senders) {
	s[0] = wsproto.NewSender(config, nil)
	if config.Compressor == nil {
		return s
	}
	for bits := uint8(8); bits < uint8(len(s)); bits++ {
		s[bits] = wsproto.NewSender(config, &wsproto.Deflate{
			ServerNoContextTakeover: true, ClientNoContextTakeover: true,
			ServerMaxWindowBits: bits, ClientMaxWindowBits: bits,
		})
	}
	return s
}

// compress begins to compress as it was agreed on.
func (c *Conn) compress(d wsproto.Deflate) {
	bits, takeover := d.ServerMaxWindowBits, !d.ServerNoContextTakeover
	if c.flags&isClient != 0 {
		bits, takeover = d.ClientMaxWindowBits, !d.ClientNoContextTakeover
	}
	c.setSendBits(or(bits, wsproto.MaxWindowBits))
	if takeover {
		s := wsproto.NewSender(&c.service.receive, &d)
		c.makeRare().sender = &s
	}
	if n := d.WindowBytes(); n > 0 {
		c.countWindows(n)
	}
}

// countWindows counts the bytes of the connection's windows.
func (c *Conn) countWindows(n int) {
	c.makeRare().windows = n
	c.service.windows.Add(int64(n))
	c.conn.AddHeld(n)
}

// sender returns what makes the connection's frames.
func (c *Conn) sender() *wsproto.Sender {
	if c.rare != nil && c.rare.sender != nil {
		return c.rare.sender
	}
	return &c.service.senders[c.sendBits()]
}

// takesOver reports whether messages that are sent refer to those before.
func (c *Conn) takesOver() bool { return c.rare != nil && c.rare.sender != nil }

// packing is the work of compressing, in bytes: see countWork.
type packing struct{ each, window int } // for a byte, and for a byte of the window

// packings are those of the levels, for the worst of what was measured: a byte takes from 3 ns to 1
// us. A compressor belongs to no connection, so that it has to read the window before each message,
// of which a byte takes up to 15 ns.
var packings = [...]packing{1: {4, 4}, {4, 4}, {4, 8}, {8, 16}, {8, 16}, {8, 16}, {16, 4}, {64, 4}, {512, 4}}

// packCost is the work of compressing a message, however small it is, in bytes.
const packCost = 8 << 10

// packWork returns the work of compressing n bytes, which refer to what was sent before if
// windowed.
func (c *Conn) packWork(n int, windowed bool) int {
	bits, p := c.sendBits(), packings[1]
	if bits == wsproto.MaxWindowBits { // with smaller windows there is one level only
		p = packings[max(c.service.compression.Level, 1)]
	}
	work := packCost + p.each*min(n, wholeTurn/p.each)
	if windowed {
		work += p.window << bits
	}
	return work
}

// packs reports whether a message of n bytes is compressed.
func (c *Conn) packs(n int) bool {
	return c.flags&anyBits != 0 && n >= c.service.receive.Compressor.Threshold()
}

// countPacked counts that a message of n bytes was compressed, if it was, towards the share of the
// turn of the peer that is served just now: a small request may have a large answer.
func (c *Conn) countPacked(n int) {
	if c.packs(n) {
		c.conn.AddWork(c.packWork(n, c.takesOver()))
	}
}
