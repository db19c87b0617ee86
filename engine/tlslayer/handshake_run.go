package tlslayer

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"runtime/debug"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/layer"
)

// This file has what the goroutine of a handshake does.

// run is the goroutine. It ends in order after a runtime.Goexit in a callback, too.
func (h *handshake) run() {
	var err error
	var s layer.Stream
	var info tls.ConnectionState
	returned := false
	defer func() {
		if !returned {
			err = &engine.PanicError{Value: "runtime.Goexit", Stack: debug.Stack()}
		}
		h.exit(s, info, err)
	}()
	if err = h.do(); err == nil {
		info = h.conn.ConnectionState()
		s = h.result(info)
	}
	returned = true
}

// exit ends a handshake that has begun.
func (h *handshake) exit(s layer.Stream, info tls.ConnectionState, err error) {
	h.layer.pool.exit(h)
	h.mu.Lock()
	_, panicked := err.(*engine.PanicError)
	if h.err == nil || h.err == net.ErrClosed || panicked { // ErrClosed is of wire.Close
		h.err = err
	}
	if h.err == nil {
		h.stream, h.info = s, info
	}
	h.end()
	err = h.err
	h.mu.Unlock()
	defer h.notify() // also if a method of err ends the goroutine
	if err != nil {
		h.logFailure(err)
	}
}

// do does the handshake, with the user's callbacks.
func (h *handshake) do() (err error) {
	ctx, stop := context.WithDeadline(context.Background(), h.deadline)
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			err = &engine.PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	if h.conn == nil {
		h.conn = tls.Server(h.wire, h.layer.base)
	}
	err = h.conn.HandshakeContext(ctx)
	if err != nil && ctx.Err() != nil {
		return ErrTimeout
	}
	return err
}

// hasRecord reports whether a record can be read, or what is as good as one. h.mu is held.
func (h *handshake) hasRecord() bool {
	return h.left > 0 || h.err != nil || h.eof || recordIn(h.in) > 0
}

// recordIn returns the length of the record that b begins with, 0 if it is not whole. A record that
// is too long is whole when its header is there: that is enough to refuse it.
func recordIn(b []byte) int {
	if len(b) < headerLen {
		return 0
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	switch {
	case n > maxRecord12:
		return headerLen
	case headerLen+n <= len(b):
		return headerLen + n
	}
	return 0
}

// read is the goroutine's Read. It returns bytes of one record only, so that the tls.Conn keeps
// none that belong behind the handshake.
func (h *handshake) read(b []byte) (int, error) {
	for asked := false; ; asked = true {
		h.mu.Lock()
		switch {
		case h.err != nil:
			h.mu.Unlock()
			return 0, h.err
		case h.left == 0:
			if h.left = recordIn(h.in); h.left > 0 {
				h.keys.seen(!h.keys.client, h.in[:h.left])
			}
		}
		if h.left > 0 {
			n := copy(b, h.in[:h.left])
			h.left -= n
			h.in = h.in[n:] // the rest is not moved: there may be many tiny records
			h.mu.Unlock()
			return n, nil
		}
		if h.eof {
			h.mu.Unlock()
			return 0, io.EOF
		}
		h.mu.Unlock()
		if !asked {
			h.notify() // with what was written
			h.layer.pool.pause(h)
		}
		h.block()
	}
}

// block waits for a record and for a turn. Between leave and block one may have come.
func (h *handshake) block() {
	h.mu.Lock()
	ready := h.hasRecord()
	if !ready {
		h.state = blocked
	}
	failed := h.err != nil
	h.mu.Unlock()
	if failed {
		return
	}
	if ready {
		h.layer.pool.submit(h)
	}
	<-h.wake
	if time.Now().After(h.deadline) {
		h.cancel(ErrTimeout)
	}
}

// write is the goroutine's Write.
func (h *handshake) write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := recordIn(rest)
		if n == 0 { // crypto/tls writes whole records
			h.keys.confused = true
			break
		}
		h.keys.seen(h.keys.client, rest[:n])
		rest = rest[n:]
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.out = append(h.out, b...)
	return len(b), nil
}
