package wire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// link is one connection of a Client. Its fields are protected by the Client's lock.
type link struct {
	conn    *wsconn.Conn
	out     [][]byte // not written yet
	waiting int      // bytes of out
	kick    chan struct{}
	left    []string // topics that were left, each before a ping that was not answered yet
}

// send queues a message for the connection.
func (l *link) send(frame []byte) {
	l.out = append(l.out, frame)
	l.waiting += len(frame)
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

// Run connects, and reconnects until ctx ends. It calls the functions of the Client and of its
// Subscriptions, one at a time. It returns the cause of the end of ctx, after a closing handshake.
// Run may be called once; after that it returns net.ErrClosed.
func (c *Client) Run(ctx context.Context) error {
	c.mu.Lock()
	again := c.ran
	c.ran = true
	c.mu.Unlock()
	if again {
		return net.ErrClosed
	}
	defer c.end()
	for failed := 0; ; {
		opened := time.Now()
		err := c.connect(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if time.Since(opened) >= stableAfter {
			failed = 0
		}
		delay := c.delay(failed)
		failed++
		if c.Lost != nil {
			c.Lost(err, delay)
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// delay returns a random time to wait after so many attempts that failed.
func (c *Client) delay(failed int) time.Duration {
	shortest, longest := c.MinDelay, c.MaxDelay
	if shortest <= 0 {
		shortest = defaultMinDelay
	}
	if longest <= 0 {
		longest = defaultMaxDelay
	}
	for ; failed > 0 && shortest < longest; failed-- {
		shortest *= 2
	}
	return rand.N(min(shortest, longest))
}

// connect opens a connection, and returns why it has ended.
func (c *Client) connect(ctx context.Context) error {
	dial := c.Dial
	if dial == nil {
		dial = func(ctx context.Context) (*wsconn.Conn, error) {
			return wsconn.Dial(ctx, c.URL, &wsconn.Config{Subprotocols: []string{SubprotocolBinary}})
		}
	}
	conn, err := dial(ctx)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	if conn.Subprotocol() != SubprotocolBinary {
		conn.Close(websocket.PolicyViolation, "subprotocol "+SubprotocolBinary+" required")
		return errors.New("wire: the server has not agreed to the subprotocol " + SubprotocolBinary)
	}
	l := &link{conn: conn, kick: make(chan struct{}, 1)}
	writing, stop := context.WithCancel(ctx)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.write(writing, l)
	}()
	defer func() {
		stop()
		conn.CloseNow()
		<-written
	}()
	c.attach(l)
	defer c.detach()
	if c.Opened != nil {
		c.Opened()
	}
	err = c.read(ctx, l)
	if ctx.Err() != nil {
		conn.Close(websocket.NormalClosure, "")
	}
	return err
}

// attach makes a connection the Client's, and sends all that waits.
func (c *Client) attach(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = l
	for _, s := range c.subscriptions {
		l.send(s.request())
	}
	for _, p := range c.publishes {
		c.publishOn(l, p)
	}
	c.unsent = 0
}

// detach gives up what the connection has not answered.
func (c *Client) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = nil
	for id, p := range c.publishes {
		if p.sent {
			c.answer(id, ErrLost)
		}
	}
}

// end gives up everything.
func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	clear(c.subscriptions)
	for id := range c.publishes {
		c.answer(id, net.ErrClosed)
	}
}

// write writes what is sent until the connection ends.
func (c *Client) write(ctx context.Context, l *link) {
	for {
		select {
		case <-l.kick:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		frames := l.out
		l.out = nil
		c.mu.Unlock()
		for _, frame := range frames {
			if err := l.conn.Write(ctx, websocket.Binary, frame); err != nil {
				if ctx.Err() == nil { // otherwise Run does a closing handshake
					l.conn.CloseNow() // so that Read notices
				}
				return
			}
			c.mu.Lock()
			l.waiting -= len(frame)
			c.mu.Unlock()
		}
	}
}

// read handles what comes until the connection ends.
func (c *Client) read(ctx context.Context, l *link) error {
	for {
		op, data, err := l.conn.Read(ctx)
		if err != nil {
			return err
		}
		var e event
		if op != websocket.Binary {
			err = errors.New("a message is not binary")
		} else if err = e.parse(data); err == nil {
			err = c.handle(l, &e)
		}
		if err != nil {
			l.conn.Close(websocket.InvalidPayload, err.Error())
			return fmt.Errorf("wire: malformed message: %w", err)
		}
	}
}

// handle does what a message of the server says.
func (c *Client) handle(l *link, e *event) error {
	c.mu.Lock()
	switch e.kind {
	case eventPong:
		defer c.mu.Unlock()
		if len(l.left) == 0 {
			return errors.New("a pong without a ping")
		}
		l.left = l.left[1:]
		return nil
	case eventPublished:
		defer c.mu.Unlock()
		c.answer(e.id, nil)
		return nil
	case eventError:
		if e.id != 0 {
			defer c.mu.Unlock()
			c.answer(e.id, &Error{Code: e.code, Text: e.text})
			return nil
		}
	}
	s := c.subscriptions[string(e.topic)]
	if slices.Contains(l.left, string(e.topic)) {
		s = nil // it is about the subscription before
	}
	refused := s != nil && e.kind == eventError && e.code != CodeBusy
	if refused {
		delete(c.subscriptions, s.Topic)
	}
	c.mu.Unlock()
	switch {
	case s == nil:
	case refused:
		if s.Refused != nil {
			s.Refused(&Error{Code: e.code, Text: e.text})
		}
	case e.kind == eventError:
		c.askLater(l, s)
	default:
		s.receive(e)
	}
	return nil
}

// askLater subscribes again after a while, on the same connection. A server that says a million
// times that it is busy is asked once.
func (c *Client) askLater(l *link, s *Subscription) {
	asked, ok := s.mayAskAgain()
	if !ok {
		return
	}
	time.AfterFunc(4*c.delay(0)+time.Millisecond, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.link == l && c.subscriptions[s.Topic] == s && s.timesAsked() == asked {
			l.send(s.request())
		}
	})
}
