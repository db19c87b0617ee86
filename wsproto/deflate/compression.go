package deflate

import "github.com/myriadnet/myriad/wsproto"

// Compression is how the connections of a service use permessage-deflate (RFC 7692). The zero value
// works: fast, and without context takeover, so that an idle connection owns no window.
//
// Compression is off unless it is asked for, because a message with a secret in it and text of
// somebody else's beside it tells the secret by its length to who can read the wire, even through
// TLS (CRIME and BREACH). Send such messages uncompressed, or leave compression off.
type Compression struct {
	// Level is 1 (fast) to 9 (small). Default: 1.
	Level int
	// Threshold is the size, in bytes, below which a message is sent as it is. Default: 256.
	Threshold int
	// ServerTakeover lets messages of the server refer to those before (context takeover),
	// ClientTakeover those of the client. Small messages that resemble one another get much smaller
	// by it. Each costs its window, per connection and for as long as it lives, from the first
	// message on. Default: off.
	ServerTakeover, ClientTakeover bool
	// ServerWindowBits and ClientWindowBits bound the windows to 2 to the power of 8 to 15 bytes.
	// Clients that cannot bound theirs use 15. Default: 15.
	ServerWindowBits, ClientWindowBits int
	// MaxWindows is how many bytes the windows of all connections may have together; further
	// connections get no context takeover. Default: 256 MiB; negative: no limit.
	MaxWindows int
	// MaxRatio is how many times larger than its compressed form a message may become, at any point
	// above 4 MiB. DEFLATE itself ends at 1,032. Default: 200; negative: no limit.
	MaxRatio int
}

// WithDefaults returns c with all defaults filled in.
func (c Compression) WithDefaults() Compression {
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

// Policy is what one end is prepared to do for one more connection, when the windows of those that
// there are have so many bytes. c must have its defaults.
func (c *Compression) Policy(windows int) wsproto.Deflate {
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
