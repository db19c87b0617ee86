package nats

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
)

// Errors of Publish and History. A full queue is engine.ErrBusy.
var (
	ErrTooLarge = errors.New("nats: the message is larger than the server allows")
	ErrDown     = errors.New("nats: no server can be reached")
	ErrTimeout  = errors.New("nats: the stream has not answered in time")
	// ErrReset is that of messages that were on their way when the stream was lost.
	ErrReset = errors.New("nats: the stream was lost and has begun anew")
	errBusy  = fmt.Errorf("nats: too much waits: %w", engine.ErrBusy)
)

// Broker is a topic.Broker and a topic.PresenceBroker on NATS with JetStream. Its fields must not
// be changed once a Hub uses it. The zero value uses a server on this machine.
type Broker struct {
	// URL has the addresses of servers, separated by commas. Default: nats://127.0.0.1:4222.
	URL string
	// Options are further options of the connection, such as credentials and TLS. They are applied
	// after those that the Broker needs, and should not replace its dialer.
	Options []nats.Option
	// Conn is a connection to use instead of an own one. Its MaxReconnects should be -1, and its
	// PingInterval a few seconds. Close leaves it open. Its error handler is called by that of
	// the Broker.
	Conn *nats.Conn

	// Prefix begins all subjects. Nodes with the same one share their topics. Its tokens but the
	// first must not be in, out, epoch, check, alive, node or presence. Default: "myriad".
	Prefix string
	// Stream is the name of the stream. Default: the Prefix, with "_" for ".".
	Stream string
	// Existing makes the Broker use the stream as the operator has made it. By default it creates
	// the stream, or updates one that it cannot use. See StreamConfig.
	Existing bool
	// Replicas is how many servers of a cluster hold the stream: 1, 3 or 5. Default: 1.
	Replicas int
	// File stores the stream in files instead of memory.
	File bool
	// KeepMessages is how many messages of a topic are kept, at least. Default: 100.
	KeepMessages int
	// KeepAge limits their age. Default: 10 min. At least 1 min.
	KeepAge time.Duration
	// KeepBytes limits the bytes of all topics. Topics then may have gaps that are told although
	// nothing was lost, after a long silence. It must be more than what is published in two
	// CheckIntervals, or all topics begin anew. Default: no limit but that of the server.
	KeepBytes int64

	// MaxPending limits the bytes of messages that wait to be published or acknowledged. Default:
	// 16 MiB.
	MaxPending int
	// MaxPendingMessages limits their number. Default: 65,536.
	MaxPendingMessages int
	// PublishTimeout is how long a message may wait until it is stored. Default: 30 s. At most 90
	// s.
	PublishTimeout time.Duration
	// CheckInterval is how often the Broker asks for messages that it has not been sent. It bounds
	// the time until a loss is noticed that no later message reveals. Default: 5 s.
	CheckInterval time.Duration
	// Failed is called when messages for a topic were given up. They may have been stored all the
	// same. The Broker waits for it, so it must not block. Default: it is logged.
	Failed func(topic string, messages int, err error)
	// Logger gets what goes wrong. Its Handler must not call runtime.Goexit. Default: slog.Default.
	Logger *slog.Logger

	cfg     settings
	sink    topic.Sink
	options func(string) topic.Options
	node    string // names this Broker among those with the same Prefix

	once    sync.Once
	closing sync.Mutex      // held by Start, and by Close while it ends everything
	started chan struct{}   // closed by Start
	ready   chan struct{}   // closed once the stream can be used
	ctx     context.Context // done when Close ends everything
	cancel  context.CancelFunc
	group   sync.WaitGroup

	nc         atomic.Pointer[nats.Conn]
	generation atomic.Uint64 // of the connection: changes before anything comes through a new one
	synced     atomic.Uint64 // the generation whose epoch is known
	epoch      atomic.Uint64

	keeper   keeper
	asks     requests
	topics   topics
	queue    queue
	history  historian
	presence presence
	stats    counters
}

// settings are the fields of a Broker with their defaults.
type settings struct {
	url, prefix, stream string
	replicas, history   int
	age                 time.Duration
	maxBytes, maxCount  int
	publish, check      time.Duration
	log                 *slog.Logger
}

// settings returns the fields with their defaults, or what is wrong with them.
func (b *Broker) settings() (settings, error) {
	s := settings{
		url:      cmp.Or(b.URL, nats.DefaultURL),
		prefix:   cmp.Or(b.Prefix, "myriad"),
		replicas: cmp.Or(b.Replicas, 1),
		history:  cmp.Or(b.KeepMessages, 100),
		age:      cmp.Or(b.KeepAge, 10*time.Minute),
		maxBytes: cmp.Or(b.MaxPending, 16<<20),
		maxCount: cmp.Or(b.MaxPendingMessages, 1<<16),
		publish:  cmp.Or(b.PublishTimeout, 30*time.Second),
		check:    cmp.Or(b.CheckInterval, 5*time.Second),
		log:      b.Logger,
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.log = slog.New(logGuard{s.log.Handler()})
	s.stream = cmp.Or(b.Stream, strings.ReplaceAll(s.prefix, ".", "_"))
	if err := checkPrefix(s.prefix); err != nil {
		return s, err
	}
	if strings.ContainsAny(s.stream, " \t\r\n.*>/\\") {
		return s, fmt.Errorf("nats: bad name of a stream: %q", s.stream)
	}
	if b.Conn != nil && (b.URL != "" || b.Options != nil) {
		return s, errors.New("nats: Broker has a Conn and a URL or Options")
	}
	if s.age < time.Minute || s.history < 1 || s.check < 0 || s.check > s.age/4 || s.maxBytes < 0 || s.maxCount < 0 {
		return s, errors.New("nats: a limit of the Broker is too small")
	}
	if s.publish < 0 || s.publish > dedupeWindow*3/4 {
		return s, fmt.Errorf("nats: PublishTimeout is not between 0 and %v", dedupeWindow*3/4)
	}
	return s, nil
}

// Start implements topic.Broker. It does not wait for NATS; Ready does.
func (b *Broker) Start(sink topic.Sink, options func(string) topic.Options) error {
	cfg, err := b.settings()
	if err != nil {
		return err
	}
	b.once.Do(b.init)
	b.closing.Lock() // Close may be called meanwhile
	defer b.closing.Unlock()
	if b.sink != nil || b.ctx.Err() != nil {
		return errors.New("nats: the Broker is in use already, or closed")
	}
	b.cfg, b.sink, b.options, b.node = cfg, sink, options, rand.Text()[:nodeName]
	b.keeper.init()
	b.asks.init()
	b.topics.init()
	b.queue.init()
	b.presence.init(b)
	b.group.Go(b.keep)
	b.group.Go(b.publish)
	b.group.Go(b.keepPresence)
	for _, s := range b.topics.shards {
		b.group.Go(func() { b.receive(s) })
	}
	close(b.started)
	return nil
}

// init makes what Ready and Close need.
func (b *Broker) init() {
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.started, b.ready = make(chan struct{}), make(chan struct{})
}

// Ready waits until a Hub uses the Broker, it is connected, and its stream can be used. A Hub uses
// it from the first call of a method of the Hub on: before anything is subscribed or published,
// call Hub.Start. The error is ctx's, joined with why NATS or the stream could not be used last.
// Once Ready has returned nil, it does so until Close: see Health.
func (b *Broker) Ready(ctx context.Context) error {
	b.once.Do(b.init)
	select {
	case <-b.ready:
		return nil
	case <-b.ctx.Done():
		return topic.ErrClosed
	case <-ctx.Done():
		return errors.Join(ctx.Err(), b.keeper.lastError())
	}
}

// Close ends the Broker. It waits until everything that was published is stored, or ctx is done.
// Then what still waits is given up, and Failed is called for it. Its error is topic.ErrClosed, and
// that for which NATS or the stream could not be used, if it could not. So is that of Close. The
// Sink is not called afterwards. Other nodes are told that this node's members have left. Failed,
// Hub.Options and functions given to Hub.Members must not call it: it waits for them.
func (b *Broker) Close(ctx context.Context) error {
	b.once.Do(b.init)
	if !b.hasStarted() {
		return nil
	}
	err := b.drain(ctx)
	reason := topic.ErrClosed
	if health := b.Health(); err != nil && health != nil {
		err, reason = errors.Join(err, health), errors.Join(reason, health)
	}
	b.closing.Lock() // several goroutines may close it
	defer b.closing.Unlock()
	if b.ctx.Err() != nil {
		return err
	}
	b.leaveAll()
	b.history.mu.Lock() // so that History begins no worker behind Wait
	b.cancel()
	b.history.mu.Unlock()
	b.group.Wait()
	b.failAll(reason)
	if nc := b.nc.Load(); nc != nil {
		b.disconnect(nc)
	}
	return err
}

// hasStarted reports whether there is something for Close to end. If not, there never will be.
func (b *Broker) hasStarted() bool {
	b.closing.Lock()
	defer b.closing.Unlock()
	select {
	case <-b.started:
		return true
	default:
		b.cancel()
		return false
	}
}

// Health reports whether NATS and the stream can be used now, by the last that the Broker knows:
// nil, or why not. A server that does not answer any more is noticed after some seconds. Any
// goroutine may call it.
func (b *Broker) Health() error {
	b.once.Do(b.init)
	select {
	case <-b.started:
	default:
		return errors.New("nats: no Hub uses the Broker yet")
	}
	if b.ctx.Err() != nil {
		return topic.ErrClosed
	}
	err := b.keeper.lastError()
	if err == nil && !b.canSend() {
		return ErrDown
	}
	return err
}

// subject returns the subject of a kind, such as "in", for an escaped topic or another token.
func (b *Broker) subject(kind, token string) string {
	return b.cfg.prefix + "." + kind + "." + token
}

// fail calls Failed for messages that were given up.
func (b *Broker) fail(name string, messages int, err error) {
	b.stats.failed.Add(int64(messages))
	if b.Failed != nil {
		b.call("Failed", func() { b.Failed(name, messages, err) })
		return
	}
	b.cfg.log.Warn("nats: messages were not published",
		"topic", name, "messages", messages, "error", err)
}
