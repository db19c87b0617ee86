package wsconn

import (
	"context"
	"errors"
)

var errReadClosed = errors.New("wsconn: read after CloseRead")

// CloseRead is for connections that are only written to. It starts a goroutine that reads until the
// connection ends: pings are answered, a closing handshake is done, and messages are discarded. The
// context that it returns ends with ctx or with the connection, and has the reason as its cause
// (context.Cause). Read and Reader fail from now on. The end of ctx does not close the connection.
func (c *Conn) CloseRead(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ended(); err != nil {
		cancel(err)
		return ctx
	}
	if c.onEnd == nil {
		c.onEnd = make(map[*context.CancelCauseFunc]struct{})
	}
	c.onEnd[&cancel] = struct{}{}
	context.AfterFunc(ctx, func() { c.forgetEnd(&cancel) })
	if c.readClosed.CompareAndSwap(false, true) {
		go c.discardMessages()
	}
	return ctx
}

// forgetEnd forgets a context of CloseRead that has ended.
func (c *Conn) forgetEnd(cancel *context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.onEnd, cancel)
}

func (c *Conn) discardMessages() {
	ctx := context.Background()
	c.readLock.lock(ctx)
	defer c.unlockRead()
	c.leaveBuffers() // whoever has called Read may still use its message
	for {
		c.setPieces(true)
		if _, err := c.next(ctx); err != nil {
			return
		}
	}
}
