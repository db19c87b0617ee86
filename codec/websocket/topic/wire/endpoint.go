package wire

import (
	"math"
	"sync"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// The subprotocols, one for each encoding.
const (
	SubprotocolJSON   = "topics.v1.json"
	SubprotocolBinary = "topics.v1.binary"
)

const (
	defaultMaxPublish = 64 << 10
	defaultMaxMembers = 1000
	defaultMaxName    = 255 // that of Hub.MaxName
)

// Endpoint gives the clients of websocket.Servers access to a Hub. With the Hub alone, they may
// subscribe to what Hub.Authorize allows, and publish nothing. An Endpoint must not be changed once
// it is in use. Its functions are called on the loop of the connection. What a client publishes,
// and that it comes and goes where Presence is set, is sent to all others: a Server that is open to
// anybody should have a Rate.
type Endpoint struct {
	// Hub has the topics. Required.
	Hub *topic.Hub
	// Member returns who a connection is, when it subscribes to a topic with Presence. Default:
	// nobody, and others are not told of it.
	Member func(c *websocket.Conn, topic string) *topic.Member
	// Publish decides whether a connection may publish a message, and returns what is published.
	// That may be data, or something else: what a client says about itself must be checked or
	// replaced, because all other clients get it as it is. topic is what the client says, and may
	// be as long as a message. data is valid until Publish returns. The client is told of an
	// *Error; another error tells it only that it may not publish. Default: nobody may publish.
	Publish func(c *websocket.Conn, topic string, op websocket.Opcode, data []byte) ([]byte, error)
	// MaxPublish limits the bytes of what a client publishes at a time. Limits.MaxMessage of the
	// Server should leave room for it: a message over that one closes the connection. Default: 64
	// KiB; negative: no limit.
	MaxPublish int
	// MaxMembers limits the members in the list that a new subscriber of a topic with Presence
	// gets. Default: 1,000; negative: no limit.
	MaxMembers int
}

// Subprotocols returns both encodings, binary first: set Server.Subprotocols to it. Without them
// the client in JavaScript cannot connect.
func (e *Endpoint) Subprotocols() []string { return []string{SubprotocolBinary, SubprotocolJSON} }

// Message handles a message of a client: set Server.Message to it. A message that breaks the rules
// of the protocol closes the connection: with code 1003 if it is binary and the encoding is JSON,
// or the other way round; with 1007 if it cannot be decoded, and the reason says why; with 1008 if
// the client has agreed to neither subprotocol.
func (e *Endpoint) Message(c *websocket.Conn, op websocket.Opcode, data []byte) {
	if e.Hub == nil {
		panic("wire: an Endpoint without a Hub")
	}
	enc := encodingOf(c)
	if enc == nil {
		c.Close(websocket.PolicyViolation, "subprotocol "+SubprotocolBinary+" or "+SubprotocolJSON+" required")
		return
	}
	if op != enc.Opcode() {
		c.Close(websocket.UnsupportedData, "the subprotocol is "+c.Subprotocol())
		return
	}
	r, err := enc.parse(data)
	if err != nil {
		c.Close(websocket.InvalidPayload, err.Error())
		return
	}
	room := answers.Get().(*[]byte)
	if answer := e.do(c, enc, &r, (*room)[:0]); len(answer) > 0 {
		c.Send(op, answer) // an error is that of a connection that ends
		*room = answer
	}
	answers.Put(room)
}

var answers = sync.Pool{New: func() any { return new([]byte) }}

// do carries out a request, and appends the answer if there is one.
func (e *Endpoint) do(c *websocket.Conn, enc encoding, r *request, answer []byte) []byte {
	var err error
	switch r.kind {
	case kindPing:
		return enc.pong(answer)
	case kindSubscribe:
		err = e.subscribe(c, enc, r)
	case kindUnsubscribe:
		if name := string(r.topic); e.Hub.Unsubscribe(c, name) {
			e.unlist(c, name)
		}
	case kindPublish:
		err = e.publish(c, r)
		if r.id == 0 {
			return answer
		}
		if err == nil {
			return enc.published(answer, r.id)
		}
	}
	if err != nil {
		return enc.failed(answer, r.id, r.topic, tell(err))
	}
	return answer
}

func (e *Endpoint) subscribe(c *websocket.Conn, enc encoding, r *request) error {
	if len(r.topic) > limit(e.Hub.MaxName, defaultMaxName) { // before functions of the user see it
		return topic.ErrName
	}
	name := string(r.topic)
	sc := topic.SubscribeConfig{Recover: r.recover, After: r.after, Format: enc}
	presence := e.Hub.Options != nil && e.Hub.Options(name).Presence
	if presence && e.Member != nil {
		sc.Member = e.Member(c, name)
	}
	if err := sc.Subscribe(e.Hub, c, name); err != nil {
		return err
	}
	if presence {
		e.listMembers(c, name)
	}
	return nil
}

func (e *Endpoint) publish(c *websocket.Conn, r *request) error {
	if e.Publish == nil {
		return errForbidden
	}
	if len(r.data) > limit(e.MaxPublish, defaultMaxPublish) {
		return errTooLarge
	}
	name := string(r.topic)
	data, err := e.Publish(c, name, r.op, r.data)
	if err != nil {
		return err
	}
	c.EngineConn().AddWork(publishWork)
	err = e.Hub.Publish(name, r.op, data)
	if err != nil && tell(err) == errForbidden { // the Broker's error: the client may publish
		return errUnavailable
	}
	return err
}

// publishWork is what a publish counts for the connection's share of a turn, in bytes. It takes 1
// to 3 us.
const publishWork = 1 << 10

// limit returns a limit that is n, or the default if n is 0. A negative n is none.
func limit(n, otherwise int) int {
	switch {
	case n == 0:
		return otherwise
	case n < 0:
		return math.MaxInt
	}
	return n
}
