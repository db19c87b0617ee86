package nats

import (
	"encoding/binary"
	"errors"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// A pack is what one message of NATS carries: the messages of one topic that waited together, each
// as opcode (1 byte), length (uvarint) and data. They are stored, and lost, together, so a
// publisher keeps its order with one pack per topic on its way, and no message overtakes another.
const (
	packMessages = 256      // limit, set by packBits
	packBytes    = 64 << 10 // at most, unless a message is larger: see queue.limit
	packBits     = 8
)

var errPack = errors.New("nats: malformed message")

// seqOf returns the Seq of message i of n in the pack that has a sequence of the stream. That of
// the last message depends on the pack's sequence alone, so the next pack knows its Prev.
func seqOf(stream uint64, i, n int) uint64 {
	return stream<<packBits | uint64(packMessages-n+i)
}

// lastSeq returns the Seq of a pack's last message; 0 for sequence 0.
func lastSeq(stream uint64) uint64 {
	if stream == 0 {
		return 0
	}
	return seqOf(stream, 0, 1)
}

// appendMessage appends a message to a pack.
func appendMessage(pack []byte, op websocket.Opcode, data []byte) []byte {
	pack = append(pack, byte(op))
	pack = binary.AppendUvarint(pack, uint64(len(data)))
	return append(pack, data...)
}

// unpack returns the messages of the pack with a sequence. Prev of the first one is prev. The
// messages keep data.
func unpack(dst []topic.Message, epoch, stream, prev uint64, data []byte) ([]topic.Message, error) {
	start := len(dst)
	for len(data) > 0 {
		size, n := binary.Uvarint(data[1:])
		op := websocket.Opcode(data[0])
		// Others may write to the stream. A control frame would end the subscribers' connections.
		if n <= 0 || size > uint64(len(data)-1-n) || op != websocket.Text && op != websocket.Binary {
			return dst[:start], errPack
		}
		end := 1 + n + int(size)
		dst = append(dst, topic.Message{
			Op:   op,
			Data: data[1+n : end : end],
		})
		data = data[end:]
	}
	count := len(dst) - start
	if count == 0 || count > packMessages {
		return dst[:start], errPack
	}
	for i := range count {
		m := &dst[start+i]
		m.Position = topic.Position{Epoch: epoch, Seq: seqOf(stream, i, count)}
		m.Prev = m.Seq - 1
	}
	dst[start].Prev = prev
	return dst, nil
}
