package tlslayer

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/saved"
)

// recordsFormat is the format of saved records:
//
//	format, suite, flags, useless, half to read, half to write, handshake, [state]
//	suite:     its number in TLS, big endian
//	half:      the number of its next record; the secret of TLS 1.3; the key; the IV
//	handshake: the beginning of a message, behind its length
//	state:     the tls.ConnectionState, if that is still known
//
// Keys and IVs of TLS 1.3 follow from the secret, but deriving them takes longer than sending them.
const recordsFormat = 1

// The flags of saved records.
const (
	savedClient   = 1 << iota
	savedUpdate   // updateDue
	savedPeerDone // the peer has ended its half in order
	savedState    // there is a state
	savedFlags
)

// halfMax is the most bytes that a saved half has.
const halfMax = binary.MaxVarintLen64 + maxHash + maxKey + ivLen

// Save implements layer.Saver. Tickets that come later are lost to a client: its next handshake is
// a full one.
func (r *records) Save(dst []byte) ([]byte, error) {
	ended := r.flags&readEnded != 0
	if r.flags&endSealed != 0 || ended && r.extra.err != io.EOF {
		return dst, saved.Unmovable("closing")
	}
	s := &suites[r.suite]
	flags := byte(0)
	for _, f := range []struct {
		set  bool
		flag byte
	}{{r.flags&isClient != 0, savedClient}, {r.flags&updateDue != 0, savedUpdate}, {ended, savedPeerDone}} {
		if f.set {
			flags |= f.flag
		}
	}
	var handshake, state []byte
	if r.extra != nil {
		if handshake = r.extra.handshake; r.extra.state != nil {
			flags |= savedState
			state = appendState(nil, r.extra.state)
		}
	}
	dst = growSecret(dst, 5+2*halfMax+binary.MaxVarintLen64+len(handshake)+len(state))
	dst = append(dst, recordsFormat)
	dst = binary.BigEndian.AppendUint16(dst, s.id)
	dst = append(dst, flags, r.useless)
	dst = r.write.save(s, r.read.save(s, dst))
	return append(saved.AppendBytes(dst, handshake), state...), nil
}

// growSecret makes room for n more bytes, and wipes b if it must move.
func growSecret(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	grown := slices.Grow(b[:len(b):len(b)], n)
	clear(b)
	return grown
}

func (h *half) save(s *suite, dst []byte) []byte {
	dst = binary.AppendUvarint(dst, h.seq)
	if s.tls13 {
		dst = append(dst, h.secret[:s.hashLen]...)
	}
	dst = append(dst, h.key[:s.keyLen]...)
	return append(dst, h.iv[:s.implicitLen()]...)
}

func (h *half) load(s *suite, r *saved.Reader) {
	h.seq = r.Uvarint(math.MaxInt64)
	if s.tls13 {
		copy(h.secret[:], r.Take(s.hashLen))
	}
	copy(h.key[:], r.Take(s.keyLen))
	copy(h.iv[:], r.Take(s.implicitLen()))
}

// loadRecords is the reverse of Save. It keeps nothing of b.
func loadRecords(l *loop, b []byte) (*records, error) {
	in := saved.NewReader(b)
	in.Check(in.Byte() == recordsFormat)
	id := uint16(in.Byte())<<8 | uint16(in.Byte())
	suite := suiteByID(id)
	if suite < 0 || in.Err() != nil {
		return nil, fmt.Errorf("tlslayer: %w", saved.ErrMalformed)
	}
	s := &suites[suite]
	r := &records{loop: l, suite: uint8(suite)}
	flags := in.Byte()
	r.useless = in.Byte()
	r.read.load(s, &in)
	r.write.load(s, &in)
	if b := in.Bytes(4 + maxHandshake); len(b) > 0 {
		r.more().handshake = append([]byte(nil), b...)
	}
	if flags&savedState != 0 {
		r.more().state = loadState(&in, r.version(), id)
	}
	in.Check(flags < savedFlags && r.useless <= maxUseless && len(in.Rest()) == 0)
	if flags&savedClient != 0 {
		r.flags |= isClient
	}
	if flags&savedUpdate != 0 {
		r.flags |= updateDue
		in.Check(s.tls13)
	}
	if flags&savedPeerDone != 0 {
		r.end(io.EOF)
	}
	if in.Err() != nil {
		r.read, r.write = half{}, half{}
		return nil, fmt.Errorf("tlslayer: %w", in.Err())
	}
	return r, nil
}

// load implements layer.Loader for both ends.
func (l *Layer) load(state []byte, shared *any) (layer.Stream, error) {
	if l.level1 {
		return nil, errStandardStays
	}
	r, err := loadRecords(loopOf(shared), state)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// errStandardStays is why a connection of level 1 does not move: crypto/tls does not tell its keys.
const errStandardStays = saved.Unmovable("records by crypto/tls")

// Save implements layer.Saver.
func (s *standard) Save(dst []byte) ([]byte, error) { return dst, errStandardStays }
