package tlslayer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The handshake messages that may come after the handshake: RFC 8446, Section 4.6, and RFC 5246,
// Section 7.4.1.1.
const (
	messageHelloRequest     = 0
	messageClientHello      = 1
	messageServerHello      = 2
	messageNewSessionTicket = 4
	messageKeyUpdate        = 24
)

// message takes the handshake messages of a record. A message may come in several records, and a
// record may have several messages. What is kept of one that is not whole is a few bytes, but for a
// ticket, whose records are put together in place.
func (r *records) message(s *suite, b []byte) error {
	kept := r.extra != nil && len(r.extra.handshake) > 0
	if kept {
		r.extra.handshake = append(r.extra.handshake, b...)
		b = r.extra.handshake
	}
	before := len(b)
	for len(b) >= 4 {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if n > maxHandshake {
			r.alert = alertInternalError
			return fmt.Errorf("tls: handshake message of length %d bytes exceeds maximum of %d bytes", n, maxHandshake)
		}
		if n += 4; n > len(b) {
			if err := r.begun(s, b[0], n-4); err != nil {
				return err
			}
			break
		}
		m, rest := b[:n], b[n:]
		b = rest
		if !s.tls13 {
			return r.message12(m)
		}
		if err := r.message13(s, m, len(rest) > 0); err != nil {
			return err
		}
	}
	switch {
	case kept && len(b) == before: // it stays where it is
	case len(b) > 0:
		r.more().handshake = append([]byte(nil), b...)
	case kept:
		r.extra.handshake = nil
	}
	return nil
}

// begun decides about a message of type typ, with a body of n bytes, that is not whole yet. One
// that can only be refused is refused now: crypto/tls waits for the rest, and keeps all of it.
func (r *records) begun(s *suite, typ byte, n int) error {
	switch {
	case s.tls13 && typ == messageKeyUpdate && n == 1:
		return nil
	case s.tls13 && typ == messageKeyUpdate, !s.tls13 && typ == messageHelloRequest:
		return r.fail(alertDecodeError)
	case s.tls13 && typ == messageNewSessionTicket && r.flags&isClient != 0:
		return nil
	case s.tls13 && typ == messageNewSessionTicket:
		return r.ticketOfClient()
	}
	return r.unexpected(typ)
}

// message12 decides about a handshake message of TLS 1.2, which can only be the beginning of a
// renegotiation. That is refused.
func (r *records) message12(m []byte) error {
	switch {
	case m[0] != messageHelloRequest:
		return r.unexpected(m[0])
	case len(m) != 4:
		return r.fail(alertDecodeError)
	}
	return r.fail(alertNoRenegotiation)
}

// message13 decides about a handshake message of TLS 1.3. more is whether the record has another
// one behind it.
func (r *records) message13(s *suite, m []byte, more bool) error {
	body := m[4:]
	switch m[0] {
	case messageKeyUpdate:
		if len(body) != 1 || body[0] > 1 {
			return r.fail(alertDecodeError)
		}
	case messageNewSessionTicket:
		if !wellFormedTicket(body) {
			return r.fail(alertDecodeError)
		}
	default:
		return r.unexpected(m[0])
	}
	if err := r.ignore(errTooManyMessages); err != nil {
		return err
	}
	if m[0] == messageNewSessionTicket {
		if r.flags&isClient == 0 {
			return r.ticketOfClient()
		}
		return nil // keepTicket does the rest
	}
	if body[0] == 1 {
		r.flags |= updateDue
	}
	if more { // it was sealed with the old key
		r.alert = alertUnexpectedMessage
		return errors.New("tls: handshake buffer not empty before setting read traffic secret")
	}
	r.loop.update(s, &r.read)
	r.loop.work += updateWork
	return nil
}

func (r *records) unexpected(typ byte) error {
	r.alert = alertUnexpectedMessage
	return fmt.Errorf("tls: received unexpected handshake message of type %d", typ)
}

func (r *records) ticketOfClient() error {
	r.alert = alertUnexpectedMessage
	return errors.New("tls: received new session ticket from a client")
}

// wellFormedTicket reports whether b is the body of a NewSessionTicket.
func wellFormedTicket(b []byte) bool {
	if len(b) < 8 {
		return false
	}
	b, ok := skipVector(b[8:], 1) // the nonce, behind lifetime and ticket_age_add
	if ok {
		b, ok = skipVector(b, 2) // the ticket
	}
	if !ok || len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return false
	}
	for b = b[2:]; len(b) > 0; { // the extensions
		if len(b) < 2 {
			return false
		}
		early := binary.BigEndian.Uint16(b) == 42 // early_data has the size of it
		rest, ok := skipVector(b[2:], 2)
		if !ok || early && len(b)-len(rest) != 2+2+4 {
			return false
		}
		b = rest
	}
	return true
}

// skipVector returns what is behind a vector whose length is in its first n bytes.
func skipVector(b []byte, n int) (rest []byte, ok bool) {
	if len(b) < n {
		return nil, false
	}
	size := n + int(b[0])
	if n == 2 {
		size = n + int(binary.BigEndian.Uint16(b))
	}
	if len(b) < size {
		return nil, false
	}
	return b[size:], true
}

// copyForTickets returns a copy of rec if the tls.Conn of the handshake has to see it, still
// sealed, before it is opened in place.
func (r *records) copyForTickets(rec []byte) []byte {
	if r.extra == nil || r.extra.tickets == nil {
		return nil
	}
	return append([]byte(nil), rec...)
}

// keepTicket gives a record to the tls.Conn of the handshake, which knows how to make a session of
// a ticket. That works for the first records, until others come: servers send tickets at once.
func (r *records) keepTicket(rec []byte) error {
	if _, _, _, err := r.extra.tickets.Open(rec, 0); err != nil {
		r.alert = alertIllegalParameter
		return err
	}
	return nil
}
