package codectest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/myriadnet/myriad/codec"
)

// brokenRule is a rule of codec.Codec that Decode broke, as opposed to an error that it returned.
type brokenRule struct{ text string }

func (b *brokenRule) Error() string { return b.text }

func broken(format string, args ...any) error { return &brokenRule{fmt.Sprintf(format, args...)} }

func isBroken(err error) bool {
	var b *brokenRule
	return errors.As(err, &b)
}

// decode calls Decode and checks the rules for every call.
func decode(c codec.Codec, src []byte, scanned int) (msg []byte, n, next int, err error) {
	msg, n, next, err = c.Decode(src, scanned)
	switch {
	case err != nil:
		return nil, 0, 0, err
	case n < 0 || n > len(src):
		return nil, 0, 0, broken("Decode returns a message that takes %d bytes of %d", n, len(src))
	case n == 0 && (next < 0 || next > len(src)):
		return nil, 0, 0, broken("Decode returns %d as next for %d bytes", next, len(src))
	case n > 0 && len(msg) > 0 && !within(msg, src[:n]):
		return nil, 0, 0, broken("Decode returns a message that is not a part of src")
	}
	return msg, n, next, nil
}

// within reports whether part is a part of whole, in the same memory.
func within(part, whole []byte) bool {
	for i := range whole {
		if &whole[i] == &part[0] {
			return len(part) <= len(whole)-i
		}
	}
	return false
}

// feeder does what a connection does: it keeps what was not consumed and offers it again with more.
type feeder struct {
	c       codec.Codec
	held    []byte
	scanned int
	got     [][]byte
}

// feed decodes all that is held, piece after piece.
func (f *feeder) feed(pieces ...[]byte) error {
	for _, b := range pieces {
		f.held = append(f.held, b...)
		for len(f.held) > 0 {
			msg, n, next, err := decode(f.c, f.held, f.scanned)
			if err != nil {
				return err
			}
			f.scanned = next
			if n == 0 {
				break
			}
			f.got = append(f.got, bytes.Clone(msg))
			f.held, f.scanned = bytes.Clone(f.held[n:]), 0
		}
	}
	return nil
}

func (f *feeder) compare(want [][]byte) error {
	if len(f.got) != len(want) || len(f.held) > 0 {
		return fmt.Errorf("%d messages of %d, and %d bytes are left", len(f.got), len(want), len(f.held))
	}
	for i := range want {
		if !bytes.Equal(f.got[i], want[i]) {
			return fmt.Errorf("message %d differs", i)
		}
	}
	return nil
}
