// Package codectest checks that a codec keeps the rules of codec.Codec: for tests of one's own codecs.
//
//	func TestMyCodec(t *testing.T) {
//		codectest.Run(t, MyCodec{}, []byte("a message"), []byte{}, bytes.Repeat([]byte("x"), 1000))
//	}
package codectest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/myriadnet/myriad/codec"
)

// Run fails the test if Check finds something. messages are some that the codec can frame.
func Run(t testing.TB, c codec.Codec, messages ...[]byte) {
	t.Helper()
	if err := Check(c, messages...); err != nil {
		t.Error(err)
	}
}

// Limit fails the test if the codec, which must be set to this limit, refuses a message of limit bytes or accepts, in
// either direction, one of limit+1. larger is the same codec with a larger limit, fill a byte that messages may be of.
func Limit(t testing.TB, c, larger codec.Codec, limit int, fill byte) {
	t.Helper()
	if err := CheckLimit(c, larger, limit, fill); err != nil {
		t.Error(err)
	}
}

// Check returns the first rule that the codec breaks:
//   - Append and Decode are inverse, message by message and all in a row;
//   - every split of the stream gives the same messages;
//   - a stream that comes byte by byte is looked at once: scanned grows with it;
//   - what Decode returns lies in src;
//   - whatever the input, Decode does not panic, and makes progress or asks for more.
func Check(c codec.Codec, messages ...[]byte) error {
	if len(messages) == 0 {
		return errors.New("codectest: no messages to check with")
	}
	var stream []byte
	for i, m := range messages {
		before := len(stream)
		var err error
		if stream, err = c.Append(stream, m); err != nil {
			return fmt.Errorf("message %d cannot be framed: %w", i, err)
		}
		got, n, err := decode(c, stream[before:], 0)
		if err != nil {
			return fmt.Errorf("message %d, framed: %w", i, err)
		}
		if n != len(stream)-before || !bytes.Equal(got, m) {
			return fmt.Errorf("message %d of %d bytes comes back as one of %d, which takes %d of %d bytes", i, len(m), len(got), n, len(stream)-before)
		}
	}
	if err := checkSplits(c, stream, messages); err != nil {
		return err
	}
	return checkGarbage(c, stream)
}

// brokenRule is a rule that Decode broke, as opposed to an error that it returned.
type brokenRule struct{ text string }

func (b *brokenRule) Error() string { return b.text }

func broken(format string, args ...any) error { return &brokenRule{fmt.Sprintf(format, args...)} }

// decode is Decode with the rules that hold of every call.
func decode(c codec.Codec, src []byte, scanned int) (msg []byte, n int, err error) {
	msg, n, next, err := c.Decode(src, scanned)
	switch {
	case err != nil:
		return nil, 0, err
	case n < 0 || n > len(src):
		return nil, 0, broken("Decode says that a message takes %d bytes of %d", n, len(src))
	case n == 0 && (next < 0 || next > len(src)):
		return nil, 0, broken("Decode says that it has looked at %d bytes of %d", next, len(src))
	case n > 0 && len(msg) > 0 && !within(msg, src[:n]):
		return nil, 0, broken("Decode returns a message that does not lie in src")
	}
	if n == 0 {
		return nil, -next, nil // for feed: how much was looked at
	}
	return msg, n, nil
}

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
	looked  int // bytes that Decode had to look at
}

func (f *feeder) feed(b []byte) error {
	f.held = append(f.held, b...)
	for len(f.held) > 0 {
		f.looked += len(f.held) - f.scanned
		msg, n, err := decode(f.c, f.held, f.scanned)
		if err != nil {
			return err
		}
		if n <= 0 {
			if f.scanned > -n {
				return broken("Decode has looked at %d bytes, and then at %d only", f.scanned, -n)
			}
			f.scanned = -n
			return nil
		}
		f.got = append(f.got, bytes.Clone(msg))
		f.held, f.scanned = bytes.Clone(f.held[n:]), 0
	}
	return nil
}

func (f *feeder) compare(want [][]byte) error {
	if len(f.got) != len(want) || len(f.held) > 0 {
		return fmt.Errorf("%d messages of %d, and %d bytes are left", len(f.got), len(want), len(f.held))
	}
	for i := range want {
		if !bytes.Equal(f.got[i], want[i]) {
			return fmt.Errorf("message %d is another one", i)
		}
	}
	return nil
}

func checkSplits(c codec.Codec, stream []byte, want [][]byte) error {
	step := max(1, len(stream)/2000) // of a long stream some of the splits
	for cut := 0; cut <= len(stream); cut += step {
		f := feeder{c: c}
		err := f.feed(stream[:cut])
		if err == nil {
			err = f.feed(stream[cut:])
		}
		if err == nil {
			err = f.compare(want)
		}
		if err != nil {
			return fmt.Errorf("split at byte %d of %d: %w", cut, len(stream), err)
		}
	}
	f := feeder{c: c}
	for i := range stream {
		if err := f.feed(stream[i : i+1]); err != nil {
			return fmt.Errorf("byte by byte, at byte %d: %w", i, err)
		}
	}
	if err := f.compare(want); err != nil {
		return fmt.Errorf("byte by byte: %w", err)
	}
	if f.looked > 4*len(stream)+100 {
		return fmt.Errorf("byte by byte: %d bytes looked at in a stream of %d: scanned does not grow with it", f.looked, len(stream))
	}
	return nil
}

func checkGarbage(c codec.Codec, stream []byte) (err error) {
	var src []byte
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of Decode at %.100q: %v", src, v)
		}
	}()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		src = make([]byte, rng.IntN(100))
		for i := range src {
			src[i] = byte(rng.Uint32()) | byte(rng.Uint32())&0x80
			if rng.IntN(3) == 0 {
				src[i] = stream[rng.IntN(len(stream))]
			}
		}
		f := feeder{c: c}
		if err := f.feed(src); err != nil && !isRefusal(err) {
			return fmt.Errorf("garbage %.100q: %w", src, err)
		}
	}
	return nil
}

// isRefusal tells an error of the codec, which garbage may well meet with, from a broken rule.
func isRefusal(err error) bool {
	var b *brokenRule
	return !errors.As(err, &b)
}

// CheckLimit is Limit without a test.
func CheckLimit(c, larger codec.Codec, limit int, fill byte) error {
	most := bytes.Repeat([]byte{fill}, limit)
	stream, err := c.Append(nil, most)
	if err != nil {
		return fmt.Errorf("a message of exactly the limit cannot be framed: %w", err)
	}
	if msg, _, err := decode(c, stream, 0); err != nil || len(msg) != limit {
		return fmt.Errorf("a message of exactly the limit is decoded to %d bytes: %w", len(msg), err)
	}
	over := append(most, fill)
	var l *codec.LimitError
	if b, err := c.Append([]byte("dst"), over); !errors.As(err, &l) || l.Limit != limit || string(b) != "dst" {
		return fmt.Errorf("framing a message of one byte over the limit gives %.10q, %v", b, err)
	}
	if stream, err = larger.Append(nil, over); err != nil {
		return fmt.Errorf("the codec with a larger limit: %w", err)
	}
	for cut := range stream { // no split may let it through, and the whole must be refused
		f := feeder{c: c}
		err := f.feed(stream[:cut])
		if err == nil {
			err = f.feed(stream[cut:])
		}
		if l = nil; !errors.As(err, &l) || l.Limit != limit {
			return fmt.Errorf("a message of one byte over the limit, split at %d, gives %d messages, %v", cut, len(f.got), err)
		}
	}
	return nil
}
