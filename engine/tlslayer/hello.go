package tlslayer

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
)

// maxHello is the largest ClientHello. Real ones have 200 to 2,000 bytes.
const maxHello = 16 << 10

// helloScan looks for the end of a ClientHello in what a client has sent so far. It goes on where
// it has stopped: the message may come in thousands of records, and these byte by byte.
type helloScan struct {
	at   int     // where the next record begins
	have int     // bytes of the message before that
	head [4]byte // of the message
}

// whole reports whether b has a whole ClientHello. b may only grow between two calls. It refuses
// early what is none, with the errors of crypto/tls, so that it costs no goroutine: then alert is
// what to send, 0 for nothing.
func (s *helloScan) whole(b []byte) (whole bool, alert uint8, err error) {
	for s.have < len(s.head) || s.have < messageLen(s.head) {
		b := b[s.at:]
		if len(b) < headerLen {
			return false, 0, nil
		}
		n := int(binary.BigEndian.Uint16(b[3:]))
		switch {
		case b[0] == 0x80:
			return false, alertProtocolVersion, headerError(b, "unsupported SSLv2 handshake received")
		case isProxyHeader(b):
			return false, 0, errProxyHeader
		case b[0] != typeHandshake || b[1] >= 0x10:
			return false, 0, headerError(b, "first record does not look like a TLS handshake")
		case n > maxRecord12:
			return false, alertRecordOverflow, headerError(b, "oversized record received")
		case n == 0:
			return false, alertUnexpectedMessage, tls.AlertError(alertUnexpectedMessage)
		}
		body := b[headerLen:min(headerLen+n, len(b))]
		head, have := s.head, s.have
		if have < len(head) {
			copy(head[have:], body)
		}
		switch have += len(body); {
		case have > 0 && head[0] != messageClientHello:
			return false, alertUnexpectedMessage, tls.AlertError(alertUnexpectedMessage)
		case have >= len(head) && messageLen(head) > maxHello:
			return false, alertInternalError, tls.AlertError(alertInternalError)
		case len(body) < n:
			return false, 0, nil
		}
		*s = helloScan{at: s.at + headerLen + n, have: have, head: head}
	}
	return true, 0, nil
}

// messageLen returns the length of a handshake message, with its head.
func messageLen(head [4]byte) int {
	return len(head) + (int(head[1])<<16 | int(head[2])<<8 | int(head[3]))
}

var errProxyHeader = errors.New("tlslayer: the first bytes are a PROXY header: " +
	"set engine.ListenConfig.Proxy, or do not let the proxy send it")

// isProxyHeader reports whether b, which has the length of the header of a record, begins like a
// header of the PROXY protocol: proxy-protocol.txt sections 2.1 and 2.2.
func isProxyHeader(b []byte) bool {
	first := string(b[:headerLen])
	return first == "PROXY" || first == "\r\n\r\n\x00"
}
