package wsproto

// Deflate are the parameters of permessage-deflate (RFC 7692 section 7.1): what two ends have agreed on, or what one is
// prepared to do. The zero value has context takeover in both directions and windows of 32 KiB.
type Deflate struct {
	// ServerNoContextTakeover has the server begin each message without reference to those before; Client... the client.
	ServerNoContextTakeover, ClientNoContextTakeover bool
	// ServerMaxWindowBits is the size of the window that the server compresses with, as a power of two from 8 to 15;
	// Client... the client's. 0: 15, and it is not spoken of.
	ServerMaxWindowBits, ClientMaxWindowBits uint8
}

// MaxWindowBits is the largest window of DEFLATE: 32 KiB.
const MaxWindowBits = 15

// SendBits is the window that role compresses with, and ReceiveBits that of its peer.
func (d Deflate) SendBits(role Role) uint8 {
	if role == Client {
		return windowBits(d.ClientMaxWindowBits)
	}
	return windowBits(d.ServerMaxWindowBits)
}

// ReceiveBits is the window that role's peer compresses with.
func (d Deflate) ReceiveBits(role Role) uint8 { return d.SendBits(1 - role) }

// SendTakeover says whether a message that role sends may refer to those before, and ReceiveTakeover whether its peer's may.
func (d Deflate) SendTakeover(role Role) bool {
	if role == Client {
		return !d.ClientNoContextTakeover
	}
	return !d.ServerNoContextTakeover
}

// ReceiveTakeover says whether a message that role receives may refer to those before.
func (d Deflate) ReceiveTakeover(role Role) bool { return d.SendTakeover(1 - role) }

// WindowBytes returns how much memory a connection keeps for windows, in bytes: those of the
// directions that have context takeover.
func (d Deflate) WindowBytes() (n int) {
	for _, role := range []Role{Server, Client} {
		if d.SendTakeover(role) {
			n += 1 << d.SendBits(role)
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
