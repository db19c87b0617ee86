package tlslayer

import "encoding/binary"

// half is one direction of a connection: how its records are opened or sealed. A connection has two
// of them, so every byte counts.
type half struct {
	seq    uint64        // the number of the next record
	secret [maxHash]byte // the traffic secret of TLS 1.3, for KeyUpdate
	key    [maxKey]byte
	iv     [ivLen]byte
	cached uint32 // where loop has the AEAD, or had it: see evicted
}

const (
	headerLen    = 5
	maxPlain     = 16 << 10         // in a record
	maxRecord13  = maxPlain + 256   // of a record's body in TLS 1.3
	maxRecord12  = maxPlain + 2<<10 // in TLS 1.2
	version12    = 0x0303           // what the header of every record says, in TLS 1.3 too
	maxUseless   = 16               // records in a row that bring nothing, as in crypto/tls
	recordWork   = 1 << 10          // what a record costs besides, in bytes that are opened
	updateWork   = 32 << 10         // the same of a KeyUpdate
	maxWork      = 8 * updateWork   // in one Open
	maxHandshake = 64 << 10         // of a handshake message, as in crypto/tls
)

// The types of records: RFC 8446, Section 5.1.
const (
	typeCCS       = 20
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
)

// fill sets the nonce and, for TLS 1.2, the additional data of the next record of h: RFC 8446,
// Section 5.3, RFC 5288, Section 3, RFC 7905, Section 2, and RFC 5246, Section 6.2.3.3.
func (l *loop) fill(s *suite, h *half, typ byte, plainLen int) {
	l.nonce = h.iv
	if s.explicitLen() > 0 {
		binary.BigEndian.PutUint64(l.nonce[saltLen:], h.seq)
	} else {
		tail := l.nonce[ivLen-8:]
		binary.BigEndian.PutUint64(tail, binary.BigEndian.Uint64(tail)^h.seq)
	}
	if !s.tls13 {
		binary.BigEndian.PutUint64(l.data[:], h.seq)
		putHeader(l.data[8:], typ, plainLen)
	}
}

func putHeader(b []byte, typ byte, n int) {
	b[0] = typ
	binary.BigEndian.PutUint16(b[1:], version12)
	binary.BigEndian.PutUint16(b[3:], uint16(n))
}

// seal appends a record that contains b, at most maxPlain bytes.
func (l *loop) seal(s *suite, h *half, dst []byte, typ byte, b []byte) []byte {
	a := l.aead(s, h)
	start := len(dst)
	dst = append(dst, make([]byte, headerLen)...)
	l.fill(s, h, typ, len(b))
	h.seq++
	if s.tls13 {
		putHeader(dst[start:], typeData, len(b)+s.overhead())
		body := len(dst)
		dst = append(append(dst, b...), typ)
		return a.Seal(dst[:body], l.nonce[:], dst[body:], dst[start:body])
	}
	putHeader(dst[start:], typ, len(b)+s.overhead())
	dst = append(dst, l.nonce[ivLen-s.explicitLen():]...)
	body := len(dst)
	dst = append(dst, b...)
	return a.Seal(dst[:body], l.nonce[:], dst[body:], l.data[:])
}

// open opens rec, a whole record with its header, in place. The result is part of rec. It is not a
// record of the peer's if ok is false; then nothing is changed but the body, which is cleared. In
// TLS 1.3 b has the content type and the padding still.
func (l *loop) open(s *suite, h *half, rec []byte) (b []byte, ok bool) {
	body := rec[headerLen:]
	if len(body) < tagLen+s.explicitLen() {
		return nil, false
	}
	a := l.aead(s, h)
	l.fill(s, h, rec[0], len(body)-tagLen-s.explicitLen())
	data := rec[:headerLen]
	if !s.tls13 {
		body = body[copy(l.nonce[ivLen-s.explicitLen():], body):]
		data = l.data[:]
	}
	b, err := a.Open(body[:0], l.nonce[:], body, data)
	if err != nil {
		return nil, false
	}
	h.seq++
	return b, true
}
