package codectest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/myriadnet/myriad/codec"
)

// Check returns an error for the first rule of codec.Codec that c breaks:
//   - Decode undoes Append, for each message alone and for all of them in a row.
//   - Every split of the stream gives the same messages.
//   - A stream that arrives byte by byte is searched only once. Only a message of more than 100
//     bytes shows this.
//   - A message that Decode returns is a part of src.
//   - Decode does not panic, whatever the input is, and either makes progress or asks for more.
//
// The codec must accept the messages. Pass short ones, long ones, and an empty one if the format
// has such messages.
func Check(c codec.Codec, messages ...[]byte) (err error) {
	if len(messages) == 0 {
		return errors.New("codectest: no messages to check with")
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	var stream []byte
	for i, m := range messages {
		frame, err := checkMessage(c, m)
		if err != nil {
			return fmt.Errorf("message %d of %d bytes: %w", i, len(m), err)
		}
		before := len(stream)
		if stream, err = c.Append(stream, m); err != nil || !bytes.Equal(stream[before:], frame) {
			return fmt.Errorf("message %d of %d bytes: another frame behind the others, error %v", i, len(m), err)
		}
	}
	if err := checkSplits(c, stream, messages); err != nil {
		return err
	}
	return checkGarbage(c, stream)
}

// CheckLimit checks that c refuses messages over its limit in both directions. c must be set to the
// given limit in bytes, and fill is a byte that messages may consist of. A message of exactly the
// limit must pass, one that is a byte longer must not, and one that is twice as long must be
// refused before all of it has arrived.
//
// larger is the same codec with a limit at least twice as high. It makes the frames that c must
// refuse. If larger is nil, Decode is checked with a message of exactly the limit only.
func CheckLimit(c, larger codec.Codec, limit int, fill byte) error {
	longest := bytes.Repeat([]byte{fill}, limit)
	if _, err := checkMessage(c, longest); err != nil {
		return fmt.Errorf("message of exactly the limit: %w", err)
	}
	tooLong := append(longest, fill)
	if _, err := c.Append(nil, tooLong); !isLimit(err, limit) {
		return fmt.Errorf("one byte over the limit: Append returned error %v", err)
	}
	if larger == nil {
		return nil
	}
	frame, err := larger.Append(nil, tooLong)
	if err != nil {
		return fmt.Errorf("the codec with the larger limit: %w", err)
	}
	step := max(1, len(frame)/2000) // of a long frame some of the splits, and those near its ends
	for cut := range frame {
		if cut%step != 0 && cut > maxHeader && len(frame)-cut > maxHeader {
			continue
		}
		f := feeder{c: c}
		if err := f.feed(frame[:cut], frame[cut:]); !isLimit(err, limit) {
			return fmt.Errorf("one byte over the limit, split at byte %d: Decode gave %d messages, error %v", cut,
				len(f.got), err)
		}
	}
	if frame, err = larger.Append(nil, bytes.Repeat([]byte{fill}, 2*limit)); err != nil {
		return fmt.Errorf("the codec with the larger limit: %w", err)
	}
	f := feeder{c: c}
	if err := f.feed(frame[:len(frame)-1]); !isLimit(err, limit) {
		return fmt.Errorf("twice the limit: Decode waits for the last byte, error %v", err)
	}
	return nil
}

// isLimit reports whether err refuses a message over the limit. Any error of the codec does, but a
// LimitError must have the right number.
func isLimit(err error, limit int) bool {
	var l *codec.LimitError
	if errors.As(err, &l) {
		return l.Limit == limit
	}
	return err != nil && !isBroken(err)
}

// checkMessage checks what Append and Decode make of one message. It returns the frame.
func checkMessage(c codec.Codec, m []byte) (frame []byte, err error) {
	const before = "before"
	dst := append(make([]byte, 0, 64), before...)
	frame, err = c.Append(dst, m)
	if err != nil {
		return nil, fmt.Errorf("error of Append: %w", err)
	}
	if !bytes.HasPrefix(frame, dst) || string(dst) != before {
		return nil, errors.New("what was in dst is changed by Append")
	}
	frame = frame[len(dst):]
	msg, n, _, err := decode(c, bytes.Clone(frame), 0)
	if err != nil {
		return nil, fmt.Errorf("error of Decode: %w", err)
	}
	if n != len(frame) || !bytes.Equal(msg, m) {
		return nil, fmt.Errorf("it comes back as one of %d bytes, which takes %d of %d bytes", len(msg), n, len(frame))
	}
	return frame, checkSearch(c, frame)
}

// checkSplits checks that the messages come back from the stream, whatever pieces it arrives in.
func checkSplits(c codec.Codec, stream []byte, want [][]byte) error {
	step := max(1, len(stream)/2000) // of a long stream some of the splits
	for cut := 0; cut <= len(stream); cut += step {
		f := feeder{c: c}
		err := f.feed(stream[:cut], stream[cut:])
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
	return nil
}

// checkGarbage decodes random bytes, some of them from the stream.
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
			if len(stream) > 0 && rng.IntN(3) == 0 {
				src[i] = stream[rng.IntN(len(stream))]
			}
		}
		f := feeder{c: c}
		if err := f.feed(src); isBroken(err) {
			return fmt.Errorf("garbage %.100q: %w", src, err)
		}
	}
	return nil
}
