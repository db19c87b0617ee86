package wsconn

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/myriadnet/myriad/wsproto"
)

var errOldReader = errors.New("wsconn: the connection has gone on to the next message")

// stream is the message that is delivered piece by piece.
type stream struct {
	number uint64 // tells its reader from those of other messages
	rest   []byte // of the latest piece
	more   bool   // pieces are still to come

	joined []byte // see join
	op     Opcode // of joined
}

// add takes the next piece for the reader.
func (s *stream) add(ev wsproto.Event) { s.rest, s.more = ev.Payload, ev.Kind == wsproto.EventPiece }

// join takes the next piece for Read, which gets pieces if the message began to arrive while a
// Reader waited that was given up.
func (s *stream) join(ev wsproto.Event) (message []byte, whole bool) {
	s.joined, s.op = append(s.joined, ev.Payload...), ev.Opcode
	if ev.Kind == wsproto.EventPiece {
		return nil, false
	}
	message, s.joined = s.joined, nil
	return message, true
}

// Reader waits for the next message and returns a reader of it, which gives the message's bytes as
// they come and io.EOF at its end. The message is not held in memory; Config.MaxMessage limits its
// size all the same. Text is valid UTF-8 as a whole, and any part of it may end within a character.
// What is left of an earlier message is discarded.
//
// ctx is for Reader and for all reads of this message. If it ends, the message cannot be read any
// further, but the connection is still good. For other errors see Read. The reader is for one
// goroutine, and only until the next call of Read, Reader or ReadJSON.
func (c *Conn) Reader(ctx context.Context) (Opcode, io.Reader, error) {
	op, number, err := c.openStream(ctx)
	if err != nil {
		return 0, nil, err
	}
	return op, &messageReader{c, ctx, number}, nil
}

type messageReader struct {
	c      *Conn
	ctx    context.Context
	number uint64
}

func (r *messageReader) Read(p []byte) (int, error) { return r.c.readStream(r.ctx, r.number, p) }

// openStream waits for the beginning of the next message.
func (c *Conn) openStream(ctx context.Context) (op Opcode, number uint64, err error) {
	if err := c.lockRead(ctx); err != nil {
		return 0, 0, err
	}
	defer c.unlockRead()
	if err := c.nextMessage(ctx, true); err != nil {
		return 0, 0, err
	}
	s := &c.stream
	if s.joined != nil { // by a Read that was given up
		s.rest, s.more, s.joined = s.joined, true, nil
		return s.op, s.number, nil
	}
	ev, err := c.next(ctx)
	if err != nil {
		return 0, 0, err
	}
	s.add(ev)
	return ev.Opcode, s.number, nil
}

// readStream reads from the message of that number.
func (c *Conn) readStream(ctx context.Context, number uint64, p []byte) (n int, err error) {
	if err := c.lockRead(ctx); err != nil {
		return 0, err
	}
	defer c.unlockRead()
	if number != c.stream.number {
		return 0, cmp.Or(c.ended(), errOldReader)
	}
	for len(c.stream.rest) == 0 {
		if !c.stream.more {
			return 0, io.EOF
		}
		ev, err := c.next(ctx)
		if err != nil {
			return 0, err
		}
		c.stream.add(ev)
	}
	n = copy(p, c.stream.rest)
	c.stream.rest = c.stream.rest[n:]
	return n, nil
}

// nextMessage discards what is left of the message before, and makes the receiver deliver the next
// one piece by piece or whole. A message that has begun to arrive stays as it is: see Read. The
// caller holds readLock.
func (c *Conn) nextMessage(ctx context.Context, pieces bool) error {
	c.stream.number++
	c.stream.rest = nil
	for c.stream.more {
		ev, err := c.next(ctx)
		if err != nil {
			return err
		}
		c.stream.more = ev.Kind == wsproto.EventPiece
	}
	c.setPieces(pieces)
	return nil
}

func (c *Conn) setPieces(pieces bool) {
	if !c.receiver.InMessage() {
		c.protocol.Stream = pieces
	}
}
