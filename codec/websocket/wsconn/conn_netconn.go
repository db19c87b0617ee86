package wsconn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// NetConn returns a net.Conn that carries a stream of bytes in messages of the type op, for
// protocols that know nothing of WebSocket. Each Write is a message, or several binary ones if it
// is more than 32 KiB. Read returns what is in the messages that arrive, and pays no attention to
// where they begin and end. If a message of the other type arrives, the connection is closed with
// code 1003.
//
// Read returns io.EOF when the peer has closed the connection with code 1000 or 1001, or without a
// code. Close does the closing handshake with code 1000. A deadline that passes in Read does no
// harm; one that passes in Write is the end of the connection, unless nothing was sent yet (see
// Conn.Write). To close the connection when a context ends, use context.AfterFunc(ctx, c.CloseNow).
//
// Nothing else should read from or write to the Conn meanwhile.
func (c *Conn) NetConn(op Opcode) net.Conn {
	return &netConn{c: c, op: op, readLock: newLock(), writeLock: newLock()}
}

type netConn struct {
	c      *Conn
	op     Opcode
	closed atomic.Bool // by Close

	readLock     lock // guards this group
	readDeadline deadline
	inMessage    bool
	number       uint64 // of the message

	writeLock     lock // of Write
	writeDeadline deadline
}

// largestMessage is the largest binary message of a netConn, so that a large Write is not over the
// peer's limit.
const largestMessage = 32 << 10

func (n *netConn) Read(p []byte) (int, error) {
	ctx := n.readDeadline.context()
	if err := n.readLock.lock(ctx); err != nil {
		return 0, err
	}
	defer n.readLock.unlock()
	k, err := n.read(ctx, p)
	if n.c.ended() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		// That of a Write, say, which has ended the connection. Whoever takes it for the deadline
		// of this Read reads again, for ever.
		err = errors.New(err.Error())
	}
	return k, err
}

// read is Read for a caller that holds readLock.
func (n *netConn) read(ctx context.Context, p []byte) (int, error) {
	for len(p) > 0 {
		if !n.inMessage {
			if err := n.nextMessage(ctx); err != nil {
				return 0, n.asNetError(ctx, err)
			}
		}
		k, err := n.c.readStream(ctx, n.number, p)
		if err == nil {
			return k, nil
		}
		if n.inMessage = err != io.EOF; n.inMessage {
			return 0, n.asNetError(ctx, err)
		}
	}
	return 0, nil
}

// nextMessage waits for the beginning of a message.
func (n *netConn) nextMessage(ctx context.Context) error {
	op, number, err := n.c.openStream(ctx)
	if err != nil {
		var closed *CloseError
		if errors.As(err, &closed) {
			switch closed.Code {
			case wsproto.NormalClosure, wsproto.GoingAway, wsproto.NoStatus:
				return io.EOF
			}
		}
		return err
	}
	if op != n.op {
		n.c.Close(wsproto.UnsupportedData, fmt.Sprintf("only %v messages are expected", n.op))
		return fmt.Errorf("wsconn: got a %v message where only %v ones are expected", op, n.op)
	}
	n.inMessage, n.number = true, number
	return nil
}

// asNetError returns err, or what a net.Conn returns after its Close or its deadline.
func (n *netConn) asNetError(ctx context.Context, err error) error {
	switch {
	case n.closed.Load():
		return errClosed
	case ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	}
	return err
}

func (n *netConn) Write(p []byte) (written int, err error) {
	ctx := n.writeDeadline.context()
	if err := n.writeLock.lock(ctx); err != nil {
		return 0, err
	}
	defer n.writeLock.unlock()
	for {
		part := p
		if n.op == Binary {
			part = p[:min(len(p), largestMessage)]
		}
		if err := n.c.Write(ctx, n.op, part); err != nil {
			return written, n.asNetError(ctx, err)
		}
		written += len(part)
		if p = p[len(part):]; len(p) == 0 {
			return written, nil
		}
	}
}

func (n *netConn) Close() error {
	n.closed.Store(true)
	return n.c.Close(wsproto.NormalClosure, "")
}

func (n *netConn) LocalAddr() net.Addr  { return n.c.nc.LocalAddr() }
func (n *netConn) RemoteAddr() net.Addr { return n.c.nc.RemoteAddr() }

func (n *netConn) SetDeadline(t time.Time) error {
	n.readDeadline.set(t)
	n.writeDeadline.set(t)
	return nil
}

func (n *netConn) SetReadDeadline(t time.Time) error {
	n.readDeadline.set(t)
	return nil
}

func (n *netConn) SetWriteDeadline(t time.Time) error {
	n.writeDeadline.set(t)
	return nil
}

// deadline is a deadline as a context, which a call in progress can follow even if the deadline is
// moved. The zero value has none.
type deadline struct {
	mu     sync.Mutex
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// context returns the context that ends at the deadline.
func (d *deadline) context() context.Context {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.init()
	return d.ctx
}

func (d *deadline) init() {
	if d.ctx == nil {
		d.ctx, d.cancel = context.WithCancelCause(context.Background())
	}
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	passed := d.ctx != nil && d.ctx.Err() != nil
	if d.timer != nil {
		passed = !d.timer.Stop() || passed
		d.timer = nil
	}
	if passed {
		d.ctx = nil // calls in progress have that of the deadline before
	}
	if t.IsZero() {
		return
	}
	d.init()
	cancel := d.cancel
	if wait := time.Until(t); wait <= 0 {
		cancel(os.ErrDeadlineExceeded)
	} else {
		d.timer = time.AfterFunc(wait, func() { cancel(os.ErrDeadlineExceeded) })
	}
}
