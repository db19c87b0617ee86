package wsconn

import (
	"context"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// maxPongWait is how long reading waits for a pong to go out.
const maxPongWait = time.Second

// answer answers a ping. While somebody is writing, or the peer takes nothing, the answer waits,
// and only the latest ping is answered (RFC 6455 section 5.5.3).
func (c *Conn) answer(ctx context.Context, payload []byte) {
	c.mu.Lock()
	c.pong = append(c.pong[:0], payload...)
	c.mu.Unlock()
	c.pongDue.Store(true)
	if !c.writeLock.tryLock() {
		return
	}
	if _, left, ok := c.taken(); ok && left == 0 {
		c.unlockWrite(ctx) // there is room for it
		return
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		c.unlockWrite(context.Background())
	}()
	// Reading must go on if the peer takes nothing: otherwise nobody would find out that it is
	// silent, and two ends whose pongs wait for each other would wait for ever.
	timer := time.NewTimer(maxPongWait)
	defer timer.Stop()
	select {
	case <-sent:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// unlockWrite releases writeLock, and first sends the control frames that waited for it. Those that
// the end of ctx keeps it from sending are left to a goroutine.
func (c *Conn) unlockWrite(ctx context.Context) {
	for {
		err := c.writeDue(ctx)
		c.writeLock.unlock()
		switch {
		case !c.pongDue.Load() && !c.pingDue.Load():
			return
		case err != nil:
			if ctx.Err() != nil && c.sendingDue.CompareAndSwap(false, true) {
				go c.sendDue()
			}
			return
		case !c.writeLock.tryLock():
			return
		}
	}
}

// sendDue sends the control frames that are due, as soon as the peer takes them.
func (c *Conn) sendDue() {
	select {
	case c.writeLock <- struct{}{}:
		c.sendingDue.Store(false) // who needs it from now on needs writeLock first
		c.unlockWrite(context.Background())
	case <-c.done:
	}
}

// writeDue sends the control frames that are due.
func (c *Conn) writeDue(ctx context.Context) error {
	if c.pongDue.Load() {
		if err := c.writePong(ctx); err != nil {
			return err
		}
	}
	if c.pingDue.Load() {
		if err := c.writeFrame(ctx, frame{op: wsproto.Ping}); err != nil {
			return err
		}
		c.pingDue.Store(false)
	}
	return nil
}

func (c *Conn) writePong(ctx context.Context) error {
	var b [wsproto.MaxControl]byte
	c.mu.Lock()
	payload := append(b[:0], c.pong...)
	c.pongDue.Store(false)
	c.mu.Unlock()
	err := c.writeFrame(ctx, frame{op: wsproto.Pong, data: payload})
	if err != nil {
		c.pongDue.Store(true)
	}
	return err
}
