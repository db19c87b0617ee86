package codectest

import (
	"bytes"

	"github.com/myriadnet/myriad/codec"
)

// A codec may look again and again at a header at the beginning of a frame, and at a few other
// bytes.
const (
	maxHeader = 64
	maxOthers = 64
)

// checkSearch checks that Decode does not search again what it has searched. It offers the frame
// without its last two bytes, and then one byte more. Of what Decode asked to see again, only a
// header and a few bytes may matter to it. A byte matters if changing it changes what Decode
// returns.
func checkSearch(c codec.Codec, frame []byte) error {
	before := len(frame) - 2
	if before < maxHeader {
		return nil
	}
	f := feeder{c: c}
	if err := f.feed(frame[:before]); err != nil || len(f.got) > 0 {
		return broken("Decode of %d bytes of a frame of %d: %d messages, error %v", before, len(frame), len(f.got), err)
	}
	plain := answer(c, frame[:before+1], f.scanned)
	step := max(1, before/200) // of a long frame some of the bytes
	matter := 0
	for i := max(f.scanned, maxHeader); i < before; i += step {
		if matters(c, frame, before+1, i, f.scanned, plain) {
			matter++
		}
		if matter > 3 && matter*step > maxOthers {
			return broken("Decode searches again what it has searched: next does not say how far it got")
		}
	}
	return nil
}

// reply is what Decode answered, without the message.
type reply struct {
	n, next int
	failed  bool
}

func answer(c codec.Codec, src []byte, scanned int) reply {
	_, n, next, err := c.Decode(bytes.Clone(src), scanned)
	return reply{n, next, err != nil}
}

// matters reports whether Decode returns something else than plain for frame[:size] if byte i is
// changed. Among the changes are the last bytes of the frame, which may be what the codec searches
// for.
func matters(c codec.Codec, frame []byte, size, i, scanned int, plain reply) bool {
	changes := [][]byte{{0}, {^frame[i]}}
	for n := 1; n <= 16; n++ {
		changes = append(changes, frame[len(frame)-n:])
	}
	for _, change := range changes {
		src := bytes.Clone(frame[:size])
		copy(src[i+1-len(change):], change)
		if answer(c, src, scanned) != plain {
			return true
		}
	}
	return false
}
