package wire_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// refusingBroker refuses everything.
type refusingBroker struct{ err error }

func (b refusingBroker) Start(topic.Sink, func(string) topic.Options) error                    { return nil }
func (b refusingBroker) Publish(string, websocket.Opcode, []byte) error                        { return b.err }
func (b refusingBroker) Subscribe(string) error                                                { return b.err }
func (refusingBroker) Unsubscribe(string)                                                      {}
func (refusingBroker) History(string, topic.Position, int, func([]topic.Message, bool, error)) {}

// TestBrokerThatIsDownIsNotARefusal: a client that may publish was told that it may not (403), for
// as long as NATS was down. One that subscribed while topics moved to another process was, too, and
// gave the subscription up for good.
func TestBrokerThatIsDownIsNotARefusal(t *testing.T) {
	const (
		subscribe    = `{"type":"subscribe","topic":"room"}`
		publish      = `{"type":"publish","id":5,"topic":"room","text":"x"}`
		notPublished = `{"type":"error","code":503,"id":5,"topic":"room","text":"%s"}`
	)
	for _, c := range []struct {
		name, request, want string
		err                 error
	}{
		{"down", publish, fmt.Sprintf(notPublished, "nothing can be published now, try again later"),
			errors.New("no server can be reached")},
		{"busy", publish, fmt.Sprintf(notPublished, "busy, try again later"), engine.ErrBusy},
		{"moved", publish, fmt.Sprintf(notPublished, "the server is shutting down"), engine.ErrHandedOver},
		{"moved, to subscribe", subscribe,
			`{"type":"error","code":503,"topic":"room","text":"the server is shutting down"}`, engine.ErrHandedOver},
	} {
		t.Run(c.name, func(t *testing.T) {
			hub := &topic.Hub{Broker: refusingBroker{c.err}}
			p := dial(t, serve(t, &wire.Endpoint{Hub: hub, Publish: shout}), wire.SubprotocolJSON)
			p.Send(wsproto.Text, c.request)
			p.Expect(wsproto.Text, c.want)
		})
	}
}
