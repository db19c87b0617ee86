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
