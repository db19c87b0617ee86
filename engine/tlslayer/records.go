package tlslayer

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/tlslayer/certs"
)

// records is level 2: the record layer of a connection whose keys are known. It does what a
// tls.Conn does after its handshake, with the same errors, and the tests compare the two. An idle
// connection owns nothing else.
type records struct {
	loop  *loop
	extra *extra // nil: nothing special
	read  half
	write half

	suite   uint8 // in suites
	useless uint8 // records in a row that brought nothing
	alert   uint8 // what SealEnd sends; 0: close_notify, or nothing after an error of the peer's
	flags   recordFlags
}

type recordFlags uint8

const (
	isClient  recordFlags = 1 << iota
	updateDue             // the peer wants us to update our key
	endSealed             // SealEnd was called
	readEnded             // Open has returned an error: extra.err
)

// extra is what few connections need.
type extra struct {
	err       error                // of Open
	handshake []byte               // the beginning of a message that comes in several records
	tickets   *standard            // knows how to keep the tickets that a server sends first
	state     *tls.ConnectionState // until the first record
}

var _ layer.Saver = (*records)(nil)

// more returns r.extra.
func (r *records) more() *extra {
	if r.extra == nil {
		r.extra = new(extra)
	}
	return r.extra
}

// Open implements layer.Stream.
func (r *records) Open(b []byte, plain int) (from, to, end int, err error) {
	r.loop.work, r.loop.more = 0, false
	if r.flags&readEnded != 0 {
		return 0, plain, plain, r.extra.err
	}
	if r.extra != nil && len(b) > plain {
		r.forgetState()
	}
	s := &suites[r.suite]
	to = plain
	next := plain
	for {
		n, err := r.recordLen(s, b[next:])
		if n > 0 && r.loop.work >= maxWork {
			r.loop.more = true
			break
		}
		var data []byte
		if err == nil && n > 0 {
			r.loop.work += recordWork
			data, err = r.record(s, b[next:next+n])
		}
		if err != nil {
			r.end(err)
			return from, to, to, err
		}
		if n == 0 {
			break
		}
		if to == 0 && len(data) > 0 { // the first bytes stay where they are
			from = next + headerLen + s.explicitLen()
			to = from + len(data)
		} else {
			to += copy(b[to:], data)
		}
		next += n
	}
	if next == to {
		return from, to, len(b), nil
	}
	return from, to, to + copy(b[to:], b[next:]), nil
}

// Work implements layer.Stream.
func (r *records) Work() (n int, more bool) { return r.loop.work, r.loop.more }

// Held implements layer.Stream.
func (r *records) Held() int {
	if r.extra == nil {
		return 0
	}
	n := cap(r.extra.handshake)
	if r.extra.tickets != nil {
		n *= 2 // its tls.Conn has the same
	}
	if r.extra.state != nil {
		n += certs.Held(r.extra.state)
	}
	return n
}

// recordLen returns the length of the record that b begins with, 0 if b has not all of it.
func (r *records) recordLen(s *suite, b []byte) (int, error) {
	if len(b) < headerLen {
		return 0, nil
	}
	if v := binary.BigEndian.Uint16(b[1:]); v != version12 {
		r.alert = alertProtocolVersion
		return 0, headerError(b, fmt.Sprintf("received record with version %x when expecting version %x", v, version12))
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	if s.tls13 && n > maxRecord13 || n > maxRecord12 {
		r.alert = alertRecordOverflow
		return 0, headerError(b, fmt.Sprintf("oversized record received with length %d", n))
	}
	if n += headerLen; n > len(b) {
		return 0, nil
	}
	return n, nil
}

func headerError(b []byte, msg string) error {
	return tls.RecordHeaderError{Msg: msg, RecordHeader: [headerLen]byte(b)}
}

// record opens a whole record in place, and returns the application data in it.
func (r *records) record(s *suite, rec []byte) (data []byte, err error) {
	ticket := r.copyForTickets(rec)
	typ, b, alert := r.content(s, rec)
	if alert != 0 {
		return nil, r.fail(alert)
	}
	if ticket != nil && typ != typeHandshake {
		r.extra.tickets = nil
	}
	if s.tls13 && typ != typeHandshake && r.extra != nil && len(r.extra.handshake) > 0 {
		return nil, r.fail(alertUnexpectedMessage)
	}
	switch typ {
	case typeData:
		if len(b) == 0 {
			return nil, r.ignore(errTooManyIgnored)
		}
		r.useless = 0
		if r.extra != nil && len(r.extra.handshake) > 0 {
			return nil, errPending
		}
		return b, nil
	case typeAlert:
		return nil, r.alerted(s, b)
	case typeCCS:
		switch {
		case len(b) != 1 || b[0] != 1:
			return nil, r.fail(alertDecodeError)
		case s.tls13: // RFC 8446, Appendix D.4
			return nil, r.ignore(errTooManyIgnored)
		}
	case typeHandshake:
		if len(b) == 0 {
			break
		}
		if err := r.message(s, b); err != nil || ticket == nil {
			return nil, err
		}
		return nil, r.keepTicket(ticket)
	}
	return nil, r.fail(alertUnexpectedMessage)
}

// content opens a record and returns its type and what it contains, or the alert for a bad one.
func (r *records) content(s *suite, rec []byte) (typ byte, b []byte, alert uint8) {
	typ = rec[0]
	if s.tls13 && typ == typeCCS {
		return typ, rec[headerLen:], 0
	}
	b, ok := r.loop.open(s, &r.read, rec)
	switch {
	case !ok:
		return 0, nil, alertBadRecordMAC
	case s.tls13 && typ != typeData:
		clear(b)
		return 0, nil, alertUnexpectedMessage
	case s.tls13 && len(b) > 0:
		if len(b) > maxPlain+1 {
			clear(b)
			return 0, nil, alertRecordOverflow
		}
		n := len(b) - 1 // the type stands before the padding, which is zeros: RFC 8446, Section 5.4
		for n > 0 && b[n] == 0 {
			n--
		}
		if typ, b = b[n], b[:n]; typ == 0 {
			return 0, nil, alertUnexpectedMessage
		}
	}
	if len(b) > maxPlain {
		clear(b)
		return 0, nil, alertRecordOverflow
	}
	return typ, b, 0
}

// alerted decides about an alert of the peer.
func (r *records) alerted(s *suite, b []byte) error {
	if len(b) != 2 {
		return r.fail(alertUnexpectedMessage)
	}
	level, what := b[0], b[1]
	switch {
	case what == alertCloseNotify:
		return io.EOF
	case s.tls13 && what == alertUserCanceled, !s.tls13 && level == levelWarning:
		return r.ignore(errTooManyIgnored)
	case !s.tls13 && level != levelError:
		return r.fail(alertUnexpectedMessage)
	}
	return &net.OpError{Op: "remote error", Err: tls.AlertError(what)}
}

// The alerts that are sent, and those that are understood: RFC 8446, Section 6.
const (
	levelWarning = 1
	levelError   = 2

	alertCloseNotify       = 0
	alertUnexpectedMessage = 10
	alertBadRecordMAC      = 20
	alertRecordOverflow    = 22
	alertIllegalParameter  = 47
	alertDecodeError       = 50
	alertProtocolVersion   = 70
	alertInternalError     = 80
	alertUserCanceled      = 90
	alertNoRenegotiation   = 100
)

// The texts are those of crypto/tls.
var (
	errTooManyIgnored  = errors.New("tls: too many ignored records")
	errTooManyMessages = errors.New("tls: too many non-advancing records")
	errPending         = errors.New("tls: internal error: attempted to read record with pending application data")
)

// fail makes SealEnd send an alert, and returns the error of the connection.
func (r *records) fail(alert uint8) error {
	r.alert = alert
	return &net.OpError{Op: "local error", Err: tls.AlertError(alert)}
}

// ignore counts a record that brings nothing. A peer may send a few in a row.
func (r *records) ignore(tooMany error) error {
	if r.useless++; r.useless <= maxUseless {
		return nil
	}
	r.alert = alertUnexpectedMessage
	return tooMany
}

// State implements layer.Stream: it returns the *tls.ConnectionState, after the first Open a
// *partialState.
func (r *records) State() any {
	if r.extra != nil && r.extra.state != nil {
		return r.extra.state
	}
	return &partialState{tls.ConnectionState{Version: r.version(), CipherSuite: suites[r.suite].id,
		HandshakeComplete: true}}
}

func (r *records) version() uint16 {
	if suites[r.suite].tls13 {
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

// String implements layer.Stream.
func (r *records) String() string { return describe(r.version(), suites[r.suite].id) }

func describe(version, suite uint16) string {
	return tls.VersionName(version) + ", " + tls.CipherSuiteName(suite)
}

// forgetState drops the tls.ConnectionState, which has certificates.
func (r *records) forgetState() {
	r.extra.state = nil
	if e := r.extra; e.err == nil && e.tickets == nil && len(e.handshake) == 0 {
		r.extra = nil
	}
}

// ReadClosed implements layer.Stream.
func (r *records) ReadClosed(rest int) error {
	if r.flags&readEnded == 0 {
		if rest == 0 {
			return nil
		}
		r.end(io.ErrUnexpectedEOF)
	}
	return endOf(r.extra.err)
}

// end makes err what Open returns from now on.
func (r *records) end(err error) {
	r.more().err = err
	r.flags |= readEnded
}

// Close implements layer.Stream.
func (r *records) Close() {
	r.loop.forget(&r.read)
	r.loop.forget(&r.write)
	r.read, r.write = half{}, half{}
	r.flags |= endSealed
	r.extra = nil
	r.end(net.ErrClosed)
}
