package wsproto

// Deflate has the parameters of permessage-deflate (RFC 7692 section 7.1): what two ends have
// agreed on, or what one end is prepared to accept. The zero value has context takeover in both
// directions and windows of 32 KiB.
type Deflate struct {
	// ServerNoContextTakeover and ClientNoContextTakeover say that the messages of the server, or
	// of the client, do not refer to those before.
	ServerNoContextTakeover, ClientNoContextTakeover bool
	// ServerMaxWindowBits and ClientMaxWindowBits are the sizes of the windows that the server and
	// the client compress with, as powers of two from 8 to 15. 0 stands for 15, and is not
	// mentioned in the handshake.
	ServerMaxWindowBits, ClientMaxWindowBits uint8
}

// MaxWindowBits is the size of the largest window, as a power of two: 32 KiB.
const MaxWindowBits = 15

// minWindowBits is that of the smallest one (RFC 7692 section 7.1.2).
const minWindowBits = 8

// sendBits returns the size of the window that role compresses with, as a power of two.
func (d Deflate) sendBits(role Role) uint8 {
	if role == Client {
		return windowBits(d.ClientMaxWindowBits)
	}
	return windowBits(d.ServerMaxWindowBits)
}

// receiveBits returns the size of the window that the peer of role compresses with.
func (d Deflate) receiveBits(role Role) uint8 { return d.sendBits(1 - role) }

// sendTakeover reports whether a message that role sends may refer to those before.
func (d Deflate) sendTakeover(role Role) bool {
	if role == Client {
		return !d.ClientNoContextTakeover
	}
	return !d.ServerNoContextTakeover
}

// receiveTakeover reports whether a message that role receives may refer to those before.
func (d Deflate) receiveTakeover(role Role) bool { return d.sendTakeover(1 - role) }

// WindowBytes returns how many bytes a connection keeps for windows: those of the directions with
// context takeover.
func (d Deflate) WindowBytes() (n int) {
	for _, role := range []Role{Server, Client} {
		if d.sendTakeover(role) {
			n += 1 << d.sendBits(role)
		}
	}
	return n
}

func windowBits(b uint8) uint8 {
	if b == 0 {
		return MaxWindowBits
	}
	return b
}
