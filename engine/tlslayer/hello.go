package tlslayer

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
)

// maxHello is the largest ClientHello. Real ones have 200 to 2,000 bytes.
const maxHello = 16 << 10

// clientHello reports whether b, what a client has sent so far, has a whole ClientHello. It refuses
// early what is none, with the errors of crypto/tls, so that it costs no goroutine: then alert is
// what to send, 0 for nothing.
func clientHello(b []byte) (whole bool, alert uint8, err error) {
	have, want := 0, 4
	var head [4]byte
	for want > have {
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
		if have < len(head) {
			if copy(head[have:], body); have+len(body) >= 4 {
				want = 4 + int(head[1])<<16 | int(head[2])<<8 | int(head[3])
			}
		}
		switch have += len(body); {
		case have > 0 && head[0] != messageClientHello:
			return false, alertUnexpectedMessage, tls.AlertError(alertUnexpectedMessage)
		case want > maxHello:
			return false, alertInternalError, tls.AlertError(alertInternalError)
		case len(body) < n:
			return false, 0, nil
		}
		b = b[headerLen+n:]
	}
	return true, 0, nil
}

var errProxyHeader = errors.New("tlslayer: the first bytes are a PROXY header: " +
	"set engine.ListenConfig.Proxy, or do not let the proxy send it")

// isProxyHeader reports whether b, which has the length of the header of a record, begins like a
// header of the PROXY protocol: proxy-protocol.txt sections 2.1 and 2.2.
func isProxyHeader(b []byte) bool {
	first := string(b[:headerLen])
	return first == "PROXY" || first == "\r\n\r\n\x00"
}
