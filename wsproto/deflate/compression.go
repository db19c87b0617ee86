package deflate

import "github.com/myriadnet/myriad/wsproto"

// Compression says how the connections of a service use permessage-deflate (RFC 7692). The zero
// value works: fast, and without context takeover, so that an idle connection has no window.
//
// Compression is off unless a program asks for it. If a message has a secret in it beside text that
// somebody else chose, its size tells the secret to anybody who sees the encrypted bytes, even with
// TLS (CRIME and BREACH). Send such messages uncompressed, or leave compression off.
type Compression struct {
	// Level is 1 (fast) to 9 (small). A megabyte that a peer has chosen takes a loop up to 15 ms at
	// level 6, and up to a second at level 9, each time that it is sent. Default: 1.
	Level int
	// Threshold is the size in bytes from which messages are compressed. Default: 256.
	Threshold int
	// ServerTakeover and ClientTakeover let the messages of the server, or of the client, refer to
	// those before (context takeover). Small messages that resemble one another become much
	// smaller. Each costs a window per connection, from the first message on for as long as the
	// connection lives. To compress a message takes longer, since the window is read before: at 15
	// bits 50 to 150 us at level 1, and up to 550 us at levels 4 to 6. Default: off.
	ServerTakeover, ClientTakeover bool
	// ServerWindowBits and ClientWindowBits bound the windows that the server and the client
	// compress with, to 2 to the power of 8 to 15 bytes. A client that cannot bound its window
	// uses 15. Level has no meaning for windows below 15. Default: 15.
	ServerWindowBits, ClientWindowBits int
	// MaxWindows is how many bytes the windows of all connections may have together. Further
	// connections get no context takeover. On an engine they count for its MaxBuffered, and must
	// leave most of that to others: where windows alone exceed it, connections are closed in the
	// middle of a message. Default: 256 MiB; negative: no limit.
	MaxWindows int
	// MaxRatio is how many times larger than its compressed form a message may become, at any point
	// above 4 MiB. DEFLATE itself ends at 1,032. Default: 200; negative: no limit.
	MaxRatio int
}

// withDefaults returns c with all defaults filled in.
func (c Compression) withDefaults() Compression {
	if c.Level < 1 || c.Level > 9 {
		c.Level = 1
	}
	if c.Threshold <= 0 {
		c.Threshold = 256
	}
	if c.ServerWindowBits < 8 || c.ServerWindowBits > wsproto.MaxWindowBits {
		c.ServerWindowBits = wsproto.MaxWindowBits
	}
	if c.ClientWindowBits < 8 || c.ClientWindowBits > wsproto.MaxWindowBits {
		c.ClientWindowBits = wsproto.MaxWindowBits
	}
	if c.MaxWindows == 0 {
		c.MaxWindows = 256 << 20
	}
	if c.MaxRatio == 0 {
		c.MaxRatio = 200
	}
	return c
}

// Policy returns the parameters that one end offers or accepts for another connection, when the
// windows of all others have so many bytes together (see wsproto.Deflate.WindowBytes).
func (c *Compression) Policy(windows int) wsproto.Deflate {
	filled := c.withDefaults()
	c = &filled
	d := wsproto.Deflate{
		ServerNoContextTakeover: !c.ServerTakeover,
		ClientNoContextTakeover: !c.ClientTakeover,
		ServerMaxWindowBits:     uint8(c.ServerWindowBits),
		ClientMaxWindowBits:     uint8(c.ClientWindowBits),
	}
	if c.MaxWindows >= 0 && windows+1<<c.ServerWindowBits+1<<c.ClientWindowBits > c.MaxWindows {
		d.ServerNoContextTakeover, d.ClientNoContextTakeover = true, true
	}
	return d
}
