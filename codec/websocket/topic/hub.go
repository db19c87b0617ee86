package topic

import (
	"errors"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// Errors of Hub's methods. engine.ErrBusy says that too much waits to be published.
var (
	ErrName       = errors.New("topic: the name is empty, too long, or not valid UTF-8")
	ErrTooMany    = errors.New("topic: too many topics")
	ErrSubscribed = errors.New("topic: the connection has subscribed to it already")
	ErrClosed     = errors.New("topic: the hub is closed")
	ErrNoPresence = errors.New("topic: the broker does not know who is present")

	errOpcode = errors.New("topic: the opcode is not that of a message")
	errStart  = errors.New("topic: Broker.Start has not returned")
)

// Hub knows which connections have subscribed to which topics. The zero value is a Hub for one
// process. It must not be copied, nor its fields be changed, once it is used. It may be used with
// connections of several Servers, Clients and engines.
type Hub struct {
	// Options returns the options of a topic. It is called when a topic is used that has no
	// subscribers, from any goroutine, and must return the same for the same topic. If it panics
	// while topics move to another process, that is logged, and the topic is a live feed. Optional.
	Options func(topic string) Options
	// Authorize decides whether a connection may subscribe to a topic, on the connection's loop.
	// Its error is that of Subscribe. To ask somebody else first, do so before you call
	// Subscribe. Optional.
	Authorize func(c *websocket.Conn, topic string) error
	// Broker connects Hubs of several nodes. Default: the Hub is alone.
	Broker Broker
	// Format makes what subscribers are sent; subscriptions may have one of their own. Default: the
	// message as it was published, and nothing else.
	Format Format
	// Gap is called on the loop of a subscriber that has missed messages which no history has. It
	// comes after what its Format sends, and newer messages may have been sent before it: to tell
	// the client in order, use a Format. Optional.
	Gap func(c *websocket.Conn, topic string, g Gap)

	// Of the limits, negative ones are none.
	//
	// MaxTopics limits the topics that have subscribers or a history. Each takes about 800 bytes,
	// its name, and with Last or Conflate its newest message, which neither MaxHistoryBytes nor
	// engine.Config.MaxBuffered counts. Default: 1,048,576.
	MaxTopics int
	// MaxTopicsPerConn limits the subscriptions of a connection. Default: 128.
	MaxTopicsPerConn int
	// MaxName limits the bytes of a topic's name. Default: 255.
	MaxName int
	// MaxHistoryBytes limits the bytes of all histories, of a Hub without a Broker. They include
	// what was made of messages for each Format and each size of window for compression that
	// subscribers have, which takes half of it at most, and is made again if necessary; with a
	// Broker, that of the newest messages does. A topic keeps less than its Options ask for, or
	// nothing, while there is no room: a client that comes back to it is told of a Gap. Clients
	// that choose names can use it up, so let them publish to known ones only. Default: 256 MiB.
	MaxHistoryBytes int
	// MaxPending limits the bytes of messages and of presence that wait for one loop. Each counts
	// about 200 bytes more than its data. Subscribers on a loop that does not get a message have a
	// gap, which the history may fill. Default: 16 MiB.
	MaxPending int

	starting  sync.Once
	startErr  error
	limits    limits
	broker    Broker
	taken     *link          // from the old process; nil: there is none
	presence  PresenceBroker // nil: the Broker is not one
	clock     clock          // nil: the real one
	async     func(f func()) // calls f on another goroutine; nil: it does
	agenda    agenda
	closed    atomic.Bool
	seed      maphash.Seed
	stripes   [stripeCount]stripe
	topics    atomic.Int64
	lingering atomic.Int64 // of these: see lingerTime
	shards    shards
	questions questions
	forms     *formCache // of messages that are kept: the local broker's, if there is one
	retired   counters   // of shards that are gone, and what belongs to none
}

// Options are the properties of a topic. The zero value is a live feed: everything is sent to
// everybody, and nothing is kept.
type Options struct {
	// Slow is what becomes of messages for a subscriber that does not keep up, one whose Pressure
	// is engine.OverHighWater. Default: engine.SlowWait queues them, up to
	// engine.Config.MaxOutbound, and engine.SlowClose up to SlowGrace. The other ones drop
	// messages, and when the peer has caught up, the subscriber gets them from the history. Without
	// history it is told that there is a Gap, and with engine.SlowDropOldest it then gets the
	// newest ones, of 64 KiB and 256 at most.
	Slow engine.SlowPolicy
	// Conflate makes subscribers that do not keep up get the newest message when they have caught
	// up, and none of those between. Slow is not used. What the kernel has taken for a slow peer is
	// old. So the Hub lets it take 16 KiB that it cannot send yet, of everything that is sent to
	// such a connection: see engine.Conn.SetWriteAhead. On systems without that, set
	// engine.ListenConfig.WriteBuffer to a few KiB where values must be fresh.
	Conflate bool
	// Interval is the least time between two messages to all subscribers. Of those that are
	// published meanwhile, only the newest one is sent, when it is over. What a new subscriber gets
	// by Last comes besides, at any time. Interval implies Conflate. Default: none.
	Interval time.Duration
	// Last makes new subscribers get the newest message at once. It is kept as long as the topic
	// has subscribers, however old it is. In a topic without subscribers it is forgotten
	// HistoryAge after it was published, or after the last subscriber has left: set HistoryAge to
	// more than the time between two messages. For 10 s after that the topic counts as one with
	// subscribers. With a Broker that depends on the Broker; topic/nats forgets it after KeepAge.
	Last bool
	// History is how many messages are kept for subscribers that come back. Default: none.
	History int
	// HistoryBytes limits their bytes. Default: 1 MiB.
	HistoryBytes int
	// HistoryAge limits their age, and the time that a topic without subscribers is kept. Default:
	// 5 min.
	HistoryAge time.Duration
	// Presence makes Subscribers with a Member known to others: see Hub.Members.
	Presence bool
	// PresenceInterval is the least time between two messages that tell all subscribers of Members
	// which have joined or left. Those of the time between come together when it is over, each by
	// the last that it did: a thousand that come at once cost as many messages as one. Default: 0,
	// each that comes or goes is told at once, to all others: in a topic of N members N that come
	// cost N² messages.
	PresenceInterval time.Duration
}

// SubscribeConfig is how to subscribe. The zero value gets what is published from now on.
type SubscribeConfig struct {
	// Recover makes the subscriber get what was published after the position After, or a Gap,
	// before anything new. Use it with the Position of the last message that the peer got. With the
	// zero Position it gets what is kept, and no Gap, since it had nothing. If nothing is kept yet,
	// Format.Subscribed tells where it begins: it has all up to there, and should come back with
	// that.
	Recover bool
	After   Position
	// Member is who subscribes, for topics with Presence. Optional.
	Member *Member
	// Format replaces that of the Hub for this connection: all subscriptions of a connection have
	// the one of its first. Optional.
	Format Format

	arrives bool // from another process, which has told it the position
}
