package wire

import (
	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

var _ websocket.Mover = (*Endpoint)(nil)

// Owns implements websocket.Mover.
func (e *Endpoint) Owns(a websocket.Attachment) bool {
	l, ok := a.(*lister)
	return ok && l.endpoint == e || e.Hub.Owns(a)
}

// Save implements websocket.Mover: the subscriptions of a connection move to another process, whose
// Endpoint must have its Hub in place of this one's.
func (e *Endpoint) Save(c *websocket.Conn, dst []byte) ([]byte, error) { return e.Hub.Save(c, dst) }

// Load implements websocket.Mover. The client is not told, but gets the list of members again of
// each topic with Presence: while it has moved, some may have joined or left.
func (e *Endpoint) Load(c *websocket.Conn, state []byte) error {
	enc := encodingOf(c)
	sc := topic.SubscribeConfig{}
	if enc != nil {
		sc.Format = enc
	}
	if err := sc.Load(e.Hub, c, state); err != nil || e.Hub.Options == nil {
		return err
	}
	var present []string
	e.Hub.Subscriptions(c, func(name string, _ topic.Position) {
		if e.Hub.Options(name).Presence {
			present = append(present, name)
		}
	})
	for _, name := range present {
		e.listMembers(c, name)
	}
	return nil
}
