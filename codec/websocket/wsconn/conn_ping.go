package wsconn

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/myriadnet/myriad/wsproto"
)

// ping is a ping that waits for its pong.
type ping struct {
	number uint64
	ponged chan struct{}
}

// Ping sends a ping and waits for its pong, which another goroutine must receive by reading. It
// measures the round trip, or checks the connection before it is used; silent peers are found
// without it (Config.IdleTimeout). The error is the cause of ctx's end, or why the connection has
// ended.
func (c *Conn) Ping(ctx context.Context) error {
	p, err := c.writePing(ctx)
	if err != nil {
		return err
	}
	select {
	case <-p.ponged:
		return nil
	case <-ctx.Done():
		c.forget(p)
		return context.Cause(ctx)
	case <-c.done:
		return c.err
	}
}

func (c *Conn) writePing(ctx context.Context) (ping, error) {
	if err := c.writeLock.lock(ctx); err != nil {
		return ping{}, err
	}
	defer c.unlockWrite(ctx)
	c.mu.Lock()
	c.pinged++
	p := ping{c.pinged, make(chan struct{})}
	c.pings = append(c.pings, p)
	c.mu.Unlock()
	var b [8]byte
	payload := binary.BigEndian.AppendUint64(b[:0], p.number)
	err := c.writeFrame(ctx, frame{op: wsproto.Ping, data: payload})
	if err != nil {
		c.forget(p)
	}
	return p, err
}

// ponged takes a pong, which may answer several pings (RFC 6455 section 5.5.3).
func (c *Conn) ponged(payload []byte) {
	if len(payload) != 8 {
		return
	}
	number := binary.BigEndian.Uint64(payload)
	c.mu.Lock()
	defer c.mu.Unlock()
	if number > c.pinged {
		return
	}
	c.pings = slices.DeleteFunc(c.pings, func(p ping) bool {
		if p.number > number {
			return false
		}
		close(p.ponged)
		return true
	})
}

func (c *Conn) forget(p ping) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pings = slices.DeleteFunc(c.pings, func(q ping) bool { return q.number == p.number })
}
