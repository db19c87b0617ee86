package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// ErrLost is the error of Client.Publish if the connection was lost before the server answered. The
// message may have been published.
var ErrLost = errors.New("wire: the connection was lost before the server answered")

const (
	defaultMinDelay  = 500 * time.Millisecond
	defaultMaxDelay  = 15 * time.Second
	stableAfter      = 5 * time.Second // a connection that was open for so long was a good one
	maxClientPending = 16 << 20        // bytes that wait for the connection
)

// Client gives a Go program the topics of a server, in the binary encoding. It opens its connection
// again whenever it is lost, and subscribes again from the positions that it has reached. Run does
// the work. A Client must not be copied. Its fields must not be changed once a method was called,
// and its methods may be called from any goroutine.
type Client struct {
	// URL is that of the WebSocket, such as wss://example.com/ws. Not used if Dial is set.
	URL string
	// Dial makes each connection. It must offer SubprotocolBinary. Set it to send a token, or to
	// limit the size of messages (wsconn.Config.MaxMessage). Default: wsconn.Dial with the URL.
	Dial func(ctx context.Context) (*wsconn.Conn, error)
	// MinDelay is the longest delay before the first attempt to reconnect. It doubles with each
	// attempt that fails. The delay is a random part of it, so that the clients of a server that
	// was restarted do not come at the same time. Default: 500 ms.
	MinDelay time.Duration
	// MaxDelay limits the delay. Default: 15 s.
	MaxDelay time.Duration
	// Opened is called by Run each time that a connection is open.
	Opened func()
	// Lost is called by Run each time that a connection is lost, or could not be opened. delay is
	// the time until the next attempt. Default: nothing.
	Lost func(err error, delay time.Duration)

	mu            sync.Mutex
	link          *link // nil: there is no connection
	ran, ended    bool  // Run was called; has returned
	subscriptions map[string]*Subscription
	publishes     map[uint64]*publishing // that were not answered yet
	unsent        int                    // bytes of those that wait for a connection
	lastID        uint64
}

// publishing is a message that Publish waits for.
type publishing struct {
	frame []byte
	sent  bool
	done  chan error
}

// Subscribe subscribes to s.Topic. The subscription outlives connections, until Unsubscribe is
// called or the server refuses it. The error is topic.ErrSubscribed if the Client has subscribed to
// the topic already, topic.ErrName if the name is not valid UTF-8, and net.ErrClosed after Run.
func (c *Client) Subscribe(s *Subscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
		return net.ErrClosed
	case !utf8.ValidString(s.Topic): // the server would close each connection
		return topic.ErrName
	case c.subscriptions[s.Topic] != nil:
		return topic.ErrSubscribed
	}
	if c.subscriptions == nil {
		c.subscriptions = make(map[string]*Subscription)
	}
	s.begin()
	c.subscriptions[s.Topic] = s
	if c.link != nil {
		c.link.send(s.request())
	}
	return nil
}

// Unsubscribe ends a subscription. It reports whether there was one. A function of the subscription
// that Run is about to call may still be called.
func (c *Client) Unsubscribe(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.subscriptions[name] == nil {
		return false
	}
	delete(c.subscriptions, name)
	if l := c.link; l != nil {
		l.send(putString([]byte{byte(kindUnsubscribe)}, name))
		l.send([]byte{byte(kindPing)}) // until it is answered, what comes is of this subscription
		l.left = append(l.left, name)
	}
	return true
}

// Publish publishes a message and waits until the server has accepted it. Without a connection it
// waits for one. The error is an *Error if the server refuses, ErrLost, engine.ErrBusy if 16 MiB
// wait for the connection, topic.ErrName or another one if the name or a text is not valid UTF-8,
// net.ErrClosed after Run, or the cause of the end of ctx, after which the
// message may be published or not. data is the caller's again when Publish returns. The functions
// of the Client and of its Subscriptions must not call it: Run, which calls them, has to read the
// answer.
func (c *Client) Publish(ctx context.Context, name string, op websocket.Opcode, data []byte) error {
	switch { // or the server would close the connection, on which others wait, too
	case op != websocket.Text && op != websocket.Binary:
		return fmt.Errorf("wire: a message is text or binary, not %v", op)
	case !utf8.ValidString(name):
		return topic.ErrName
	case op == websocket.Text && !utf8.Valid(data):
		return errUTF8
	}
	p := &publishing{done: make(chan error, 1)}
	id, err := c.enqueue(p, name, op, data)
	if err != nil {
		return err
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.publishes[id] != nil {
			c.unsent -= len(p.frame) // none if it was sent
		}
		delete(c.publishes, id)
		return context.Cause(ctx)
	}
}

// enqueue sends a message if there is a connection, and otherwise keeps it for the next one.
func (c *Client) enqueue(p *publishing, topic string, op websocket.Opcode, data []byte) (id uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := c.unsent
	if c.link != nil {
		waiting = c.link.waiting
	}
	switch {
	case c.ended:
		return 0, net.ErrClosed
	case waiting+len(data) > maxClientPending:
		return 0, engine.ErrBusy
	}
	if c.publishes == nil {
		c.publishes = make(map[uint64]*publishing)
	}
	c.lastID++
	p.frame = binary.AppendUvarint([]byte{byte(kindPublish)}, c.lastID)
	p.frame = append(append(putString(p.frame, topic), byte(op)), data...)
	c.publishes[c.lastID] = p
	if c.link == nil {
		c.unsent += len(p.frame)
	}
	c.publishOn(c.link, p)
	return c.lastID, nil
}

// publishOn sends a message on a connection, if there is one. c.mu is held.
func (c *Client) publishOn(l *link, p *publishing) {
	if l != nil {
		l.send(p.frame)
		p.frame, p.sent = nil, true
	}
}

// answer ends a Publish. c.mu is held.
func (c *Client) answer(id uint64, err error) {
	if p := c.publishes[id]; p != nil {
		delete(c.publishes, id)
		p.done <- err
	}
}
