package wire

import (
	"errors"
	"strconv"
	"strings"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// kind is the first byte of a request in binary.
type kind byte

const (
	kindSubscribe kind = 1 + iota
	kindUnsubscribe
	kindPublish
	kindPing
)

var kindNames = [...]string{
	kindSubscribe: "subscribe", kindUnsubscribe: "unsubscribe", kindPublish: "publish", kindPing: "ping",
}

// request is what a client asks for. Its slices are parts of the message that it was parsed from.
type request struct {
	kind    kind
	recover bool // after is given
	op      websocket.Opcode
	id      uint64 // of a publish; 0: it wants no answer
	after   topic.Position
	topic   []byte // valid UTF-8
	data    []byte
}

// maxID is the largest id: numbers in JavaScript are exact up to it.
const maxID = 1<<53 - 1

// encoding is one of the two. It formats what subscribers get, parses requests and makes answers.
type encoding interface {
	topic.Format
	// parse may modify b.
	parse(b []byte) (request, error)
	members(dst []byte, name string, list []topic.Member, more int) []byte
	published(dst []byte, id uint64) []byte
	failed(dst []byte, id uint64, name []byte, e *Error) []byte
	pong(dst []byte) []byte
}

func encodingOf(c *websocket.Conn) encoding {
	switch c.Subprotocol() {
	case SubprotocolJSON:
		return jsonEncoding{}
	case SubprotocolBinary:
		return binaryEncoding{}
	}
	return nil
}

// The Formats of the two encodings, for connections that subscribe without an Endpoint.
var (
	JSON   topic.Format = jsonEncoding{}
	Binary topic.Format = binaryEncoding{}
)

var errPosition = errors.New("a position is not EPOCH-SEQ")

// appendPosition appends a position as JSON has it, without quotes.
func appendPosition(dst []byte, p topic.Position) []byte {
	dst = strconv.AppendUint(dst, p.Epoch, 10)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, p.Seq, 10)
}

func parsePosition(s string) (p topic.Position, err error) {
	epoch, seq, found := strings.Cut(s, "-")
	if !found {
		return p, errPosition
	}
	if p.Epoch, err = parseUint(epoch); err != nil {
		return p, err
	}
	p.Seq, err = parseUint(seq)
	return p, err
}

// parseUint takes decimal digits only, and no leading zeros.
func parseUint(s string) (uint64, error) {
	if len(s) > 1 && s[0] == '0' || strings.HasPrefix(s, "+") {
		return 0, errPosition
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, errPosition
	}
	return n, nil
}
