package wsproto

import "github.com/myriadnet/myriad/internal/saved"

// senderFormat is the format of a saved Sender:
//
//	format, state, [bits], [window]
//	bits:   of the window that it compresses with, if it may compress
//	window: data behind its length, if there is one
const senderFormat = 1

// Save appends the state of the Sender to dst, for LoadSender, and does not change it. All frames
// that the Sender has made must be sent, in whichever way.
func (s *Sender) Save(dst []byte) []byte {
	dst = append(dst, senderFormat, byte(s.state))
	if s.state&deflates != 0 {
		dst = append(dst, s.bits)
	}
	if s.window != nil {
		dst = saved.AppendBytes(dst, s.window.data)
	}
	return dst
}

// LoadSender returns a Sender that goes on where the one was that has saved the state at the
// beginning of b, and what is behind that. It keeps nothing of b. The error is that b is malformed,
// that c has another Role, or that it has no Compressor for a connection with compression.
func LoadSender(c *Config, b []byte) (s Sender, rest []byte, err error) {
	r := saved.NewReader(b)
	s.config = c
	r.Check(r.Byte() == senderFormat)
	s.state = senderState(r.Byte())
	r.Check(s.state < deflates<<1 && s.state&masking != 0 == (c.Role == Client))
	r.Check(s.state&deflates != 0 || s.state&(takeover|packing) == 0)
	r.Check(s.state&amid != 0 || s.state&packing == 0)
	if s.state&deflates != 0 {
		s.bits = r.Byte()
		r.Check(s.bits >= minWindowBits && s.bits <= MaxWindowBits)
	}
	if s.state&(takeover|packing) != 0 && r.Err() == nil {
		s.window = newWindow(s.bits)
		s.window.load(r.Bytes(s.window.size()))
	}
	if rest, err = r.Rest(), r.Err(); err == nil && s.state&deflates != 0 && c.Compressor == nil {
		err = errConfigChanged
	}
	if err != nil {
		return Sender{}, nil, err
	}
	return s, rest, nil
}

// WindowBytes returns how many bytes of memory the window of context takeover may take, 0 without
// it: the sender's part of Deflate.WindowBytes.
func (s *Sender) WindowBytes() int {
	if s.state&takeover == 0 {
		return 0
	}
	return s.window.size()
}
