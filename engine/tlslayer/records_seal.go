package tlslayer

import "io"

// rekeyAfter is the number of records after which we update our key. AES-GCM is safe for 2^24.5
// records with one key: RFC 8446, Section 5.5. In TLS 1.2 there is no update, and no limit.
const rekeyAfter = 1<<24 - 1<<10

// The message KeyUpdate, which does not ask for one of the peer's: RFC 8446, Section 4.6.3.
var keyUpdate = []byte{messageKeyUpdate, 0, 0, 1, 0}

// Seal implements layer.Stream.
func (r *records) Seal(dst, b []byte) []byte {
	if r.flags&endSealed != 0 {
		return dst
	}
	s := &suites[r.suite]
	if r.flags&updateDue != 0 {
		dst = r.sealUpdate(s, dst)
	}
	for len(b) > 0 {
		if s.tls13 && r.write.seq >= rekeyAfter {
			dst = r.sealUpdate(s, dst)
		}
		n := min(len(b), maxPlain)
		dst = r.loop.seal(s, &r.write, dst, typeData, b[:n])
		b = b[n:]
	}
	return dst
}

// sealUpdate tells the peer that we use a new key, and uses it.
func (r *records) sealUpdate(s *suite, dst []byte) []byte {
	r.flags &^= updateDue
	dst = r.loop.seal(s, &r.write, dst, typeHandshake, keyUpdate)
	r.loop.update(s, &r.write)
	return dst
}

// SealedLen implements layer.Stream.
func (r *records) SealedLen(n int) int {
	each := headerLen + suites[r.suite].overhead()
	return n + (n+maxPlain-1)/maxPlain*each + 2*(each+len(keyUpdate))
}

// Pending implements layer.Stream.
func (r *records) Pending() bool { return r.flags&(updateDue|endSealed) == updateDue }

// SealEnd implements layer.Stream.
func (r *records) SealEnd(dst []byte) []byte {
	silent := r.flags&readEnded != 0 && r.alert == 0 && r.extra.err != io.EOF
	if r.flags&endSealed != 0 || silent {
		r.flags |= endSealed
		return dst
	}
	level := byte(levelError)
	if r.alert == alertCloseNotify || r.alert == alertNoRenegotiation {
		level = levelWarning
	}
	s := &suites[r.suite]
	dst = r.loop.seal(s, &r.write, dst, typeAlert, []byte{level, r.alert})
	r.flags |= endSealed
	return dst
}
