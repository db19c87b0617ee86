package topic

import "github.com/myriadnet/myriad/codec/websocket"

// Broker carries messages between the Hubs of several nodes, puts those of a topic in one order and
// may keep its history. Its methods may be called from any goroutine, loops included, so they must
// not block: what has to wait is queued, and ErrBusy is the error if the queue is full. A Broker
// serves one Hub.
//
// A Broker that panics costs no other topics. A panic in Start is the error of Hub.Start, and one
// in History counts as not knowing. These and panics in Unsubscribe and Leave are logged. One in
// another method is that of the method of the Hub that has called it.
type Broker interface {
	// Start is called once, before any other method. From then on the Broker calls sink, from its
	// own goroutines. options returns the Options of a topic, for Brokers that keep a history per
	// topic.
	Start(sink Sink, options func(topic string) Options) error
	// Publish queues a message for a topic. It does not keep data. A nil error means that it was
	// queued; if it is lost later on, that is what the Broker's own callbacks are for.
	Publish(topic string, op websocket.Opcode, data []byte) error
	// Subscribe makes the Broker deliver the topic's messages to the Sink. Subscribe and
	// Unsubscribe are called alternately for a topic. When the subscription has begun, the Broker
	// calls Sink.Subscribed with the position after which it delivers everything, or tells of gaps.
	Subscribe(topic string) error
	// Unsubscribe ends that. The Hub calls it a while after the last subscriber on the node has
	// left. The Broker may still deliver messages, which the Hub drops.
	Unsubscribe(topic string)
	// History asks for the messages of a topic after a position, at most limit, in their order. The
	// Broker calls done once, from any goroutine, perhaps before History returns, and perhaps with
	// its own locks held. If it has not after a minute, the Hub goes on as if nothing were known.
	// If it cannot have all messages up to now, complete is false and msgs are the newest ones that
	// it has, without a gap between them; their Prev is not looked at. The history may be ahead of
	// what was delivered: the Hub drops what then comes a second time. Once done or the Sink was
	// given messages of an epoch, none of an earlier epoch may follow. after zero asks for the
	// newest message only if limit is 1, and for the newest limit ones otherwise.
	History(topic string, after Position, limit int, done func(msgs []Message, complete bool, err error))
}

// Sink is what a Broker delivers to. The Hub implements it. All methods may be called from any
// goroutine, for one topic from one at a time. They do not block.
type Sink interface {
	// Subscribed says that the topic's subscription has begun, and that all messages after at
	// follow.
	Subscribed(topic string, at Position)
	// Deliver delivers a message. m.Data belongs to the Sink from then on. Messages of a topic are
	// delivered in their order, after Subscribed. The Hub notices by m.Prev and m.Epoch if one is
	// missing, and asks for the History.
	Deliver(topic string, m Message)
	// Lost says that messages of the topic may have been lost after what was delivered last. The
	// Hub asks for the History.
	Lost(topic string)
	// Present says that members of a topic have joined or left on any node. Those whose Info has
	// changed have joined. See PresenceBroker.
	Present(topic string, joined, left []Member)
}

// PresenceBroker is a Broker that knows who is present on all nodes. Members of a node that dies
// leave within seconds.
type PresenceBroker interface {
	Broker
	// Join and Leave say that a member is present on this node, or no longer is. The Broker tells
	// all Sinks, this one included, by Sink.Present.
	Join(topic string, m Member) error
	Leave(topic string, id string)
	// Members asks who is present. done is called as that of History.
	Members(topic string, done func(members []Member, err error))
}
