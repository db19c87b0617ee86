package wsproto

import (
	"encoding/binary"
	"math"

	"github.com/myriadnet/myriad/internal/saved"
)

// receiverFormat is the format of a saved Receiver:
//
//	format, flags, [window], [message], [frame]
//	window:  bits, or 0 without context takeover; data behind its length
//	message: fragments; of an uncompressed text what must follow: 0, or how many bytes and the range
//	         of the next; the bytes that have arrived and were not delivered behind their length, or
//	         how many were delivered
//	frame:   how many bytes are missing; the key for the next of them, of a server
const receiverFormat = 1

// The flags of a saved Receiver.
const (
	savedClient   = 1 << iota
	savedDeflate  // there is a window, or a 0 instead
	savedMessage  // there is a message
	savedBinary   // it is binary
	savedPacked   // it is compressed
	savedInPieces // it is delivered in pieces, and the first of them was
	savedFrame    // there is a frame
	savedLastOne  // it is the last of its message
)

// errConfigChanged means that the Config of what was saved had a role, a Compressor or a Stream
// that the one to go on with has not.
const errConfigChanged = saved.Unmovable("configuration differs")

// Save appends the state of the Receiver to dst, for LoadReceiver, and does not change it. What
// Next has not consumed is not part of it. The error is that nothing can go on: because a Close
// frame or an error has come, or because a message is inflated in part. Then dst is returned as it
// was. Limits are not saved.
func (s *Receiver) Save(dst []byte) ([]byte, error) {
	m := s.message
	if s.opcode == 0 {
		m = nil // lent out
	}
	switch {
	case s.state&finished != 0:
		return dst, saved.Unmovable("closing")
	case m != nil && s.state&inflating != 0 && !s.config.Stream, m != nil && m.flow != nil && m.taken > 0:
		return dst, saved.Unmovable("message is inflated in part")
	}
	flags := s.savedFlags()
	dst = append(dst, receiverFormat, flags)
	if flags&savedDeflate != 0 {
		dst = s.window.save(dst)
	}
	if flags&savedMessage != 0 {
		dst = s.saveMessage(dst, m)
	}
	if flags&savedFrame != 0 {
		dst = binary.AppendUvarint(dst, s.left)
		if s.config.Role == Server {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(s.key))
		}
	}
	return dst, nil
}

func (s *Receiver) savedFlags() (flags byte) {
	set := func(ok bool, flag byte) {
		if ok {
			flags |= flag
		}
	}
	set(s.config.Role == Client, savedClient)
	set(s.state&deflating != 0, savedDeflate)
	if s.opcode != 0 {
		set(true, savedMessage)
		set(s.opcode == Binary, savedBinary)
		set(s.state&compressed != 0, savedPacked)
		set(s.state&inPieces != 0, savedInPieces)
		set(s.state&inFrame != 0, savedFrame)
		set(s.state&lastOne != 0, savedLastOne)
	}
	return flags
}

// saveMessage appends the message that has begun, of which m has what has arrived.
func (s *Receiver) saveMessage(dst []byte, m *buffer) []byte {
	dst = binary.AppendUvarint(dst, uint64(s.fragments))
	if s.opcode == Text && s.state&compressed == 0 {
		dst = s.text.save(dst)
	}
	switch {
	case s.state&inPieces != 0:
		return binary.AppendUvarint(dst, s.size())
	case m != nil && s.config.Stream:
		m = m.held
	}
	if m == nil {
		return append(dst, 0)
	}
	return saved.AppendBytes(dst, m.b)
}

// LoadReceiver returns a Receiver that goes on where the one was that has saved the state at the
// beginning of b, and what is behind that. It owns memory as if it had received all itself, and
// keeps nothing of b. c need not be the Config of the other one, but for its Role. If the message
// is over a limit of c, the error is a *ProtocolError, and rest is valid. Otherwise the error is
// that b is malformed, or that c has no Compressor for a connection with compression, or another
// Stream in a message for which that matters.
func LoadReceiver(c *Config, b []byte) (s Receiver, rest []byte, err error) {
	r := saved.NewReader(b)
	s.config = c
	r.Check(r.Byte() == receiverFormat)
	flags := r.Byte()
	r.Check(flags&savedClient != 0 == (c.Role == Client))
	if flags&savedDeflate != 0 {
		s.state |= deflating
		s.window = loadWindow(&r)
	}
	var arrived []byte
	var delivered uint64
	if flags&savedMessage != 0 {
		arrived, delivered = s.loadMessage(&r, flags)
	}
	r.Check(flags&savedMessage != 0 || flags&^(savedClient|savedDeflate) == 0)
	r.Check(flags&savedDeflate != 0 || flags&savedPacked == 0)
	r.Check(flags&savedFrame != 0 || flags&savedLastOne == 0)
	if flags&savedFrame != 0 {
		s.left = r.Uvarint(math.MaxInt64)
		r.Check(s.left > 0)
		if c.Role == Server && r.Err() == nil {
			s.loadKey(&r)
		}
	}
	rest, err = r.Rest(), r.Err()
	if err == nil {
		err = s.restore(flags, arrived, delivered)
	}
	if err != nil {
		s.Release()
		s = Receiver{}
	}
	return s, rest, err
}

func (s *Receiver) loadKey(r *saved.Reader) {
	if b := r.Take(4); len(b) == 4 {
		s.key = Key(binary.LittleEndian.Uint32(b))
	}
}

// loadMessage loads the message that has begun. It returns what has arrived of it and was not
// delivered, or how many bytes were.
func (s *Receiver) loadMessage(r *saved.Reader, flags byte) (arrived []byte, delivered uint64) {
	s.opcode = Text
	if flags&savedBinary != 0 {
		s.opcode = Binary
	}
	s.fragments = uint32(r.Uvarint(math.MaxUint32))
	r.Check(s.fragments > 0)
	if s.opcode == Text && flags&savedPacked == 0 {
		s.text = loadText(r)
	}
	if flags&savedInPieces != 0 {
		r.Check(flags&savedPacked == 0)
		return nil, r.Uvarint(math.MaxInt64)
	}
	return r.Bytes(math.MaxInt), 0
}

// restore makes the message what it is for the Config, and checks its limits.
func (s *Receiver) restore(flags byte, arrived []byte, delivered uint64) error {
	c := s.config
	if flags&savedDeflate != 0 && c.Compressor == nil || flags&savedInPieces != 0 && !c.Stream ||
		c.Stream && flags&savedPacked != 0 && len(arrived) > 0 {
		return errConfigChanged
	}
	for _, f := range []struct {
		saved byte
		state receiverState
	}{{savedPacked, compressed}, {savedInPieces, inPieces}, {savedFrame, inFrame}, {savedLastOne, lastOne}} {
		if flags&f.saved != 0 {
			s.state |= f.state
		}
	}
	switch {
	case len(arrived) > 0 && !c.Stream:
		s.message = s.message.add(arrived, s.left)
	case len(arrived) > 0 || delivered > 0:
		s.message = streams.Get().(*buffer)
		s.message.taken = delivered + uint64(len(arrived))
		s.message.given = s.message.taken
		if len(arrived) > 0 {
			s.message.hold(arrived)
		}
	}
	if s.opcode == 0 {
		return nil
	}
	return s.admit(s.left)
}

// WindowBytes returns how many bytes of memory the window of context takeover may take, 0 without
// it: the receiver's part of Deflate.WindowBytes.
func (s *Receiver) WindowBytes() int { return s.window.size() }

// size returns how many bytes the window may hold. w may be nil.
func (w *window) size() int {
	if w == nil {
		return 0
	}
	return 1 << w.bits
}

// save appends the window, which may be nil.
func (w *window) save(dst []byte) []byte {
	if w == nil {
		return append(dst, 0)
	}
	return saved.AppendBytes(append(dst, w.bits), w.data)
}

// loadWindow loads a window, or nil.
func loadWindow(r *saved.Reader) *window {
	bits := r.Byte()
	if bits == 0 {
		return nil
	}
	if r.Check(bits >= minWindowBits && bits <= MaxWindowBits); r.Err() != nil {
		return nil
	}
	w := newWindow(bits)
	w.load(r.Bytes(w.size()))
	return w
}

// save appends what must follow.
func (u textState) save(dst []byte) []byte {
	if u.need == 0 {
		return append(dst, 0)
	}
	return append(dst, u.need, u.low, u.high)
}

func loadText(r *saved.Reader) (u textState) {
	if u.need = r.Byte(); u.need == 0 {
		return textState{}
	}
	u.low, u.high = r.Byte(), r.Byte()
	switch u { // the second bytes of step; any others may follow any lead
	case textState{2, 0xA0, 0xBF}, textState{2, 0x80, 0x9F}, textState{3, 0x90, 0xBF}, textState{3, 0x80, 0x8F}:
	default:
		r.Check(u.need <= 3 && u.low == 0x80 && u.high == 0xBF)
	}
	return u
}
