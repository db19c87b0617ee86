package wire_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// told is what the functions of Subscriptions and of a Client were called with.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *told) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

// wait waits until the last lines are those.
func (l *told) wait(t *testing.T, want ...string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		got := l.all()
		if n := len(got) - len(want); n >= 0 && slices.Equal(got[n:], want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it was told %q, want %q at the end", got, want)
		}
	}
}

// subscription notes what it is told in l.
func (l *told) subscription(name string) *wire.Subscription {
	return &wire.Subscription{
		Topic:      name,
		Message:    func(m *topic.Message) { l.note("%s %s", name, m.Data) },
		Gap:        func(topic.Gap) { l.note("%s gap", name) },
		Subscribed: func(topic.Position) { l.note("%s begins", name) },
		Refused:    func(err *wire.Error) { l.note("%s refused: %d", name, err.Code) },
		Presence: func(joined, left []topic.Member) {
			for _, m := range joined {
				l.note("%s +%s %s", name, m.ID, m.Info)
			}
			for _, m := range left {
				l.note("%s -%s", name, m.ID)
			}
		},
	}
}

// losses returns a channel that gets why c loses its connections.
func losses(c *wire.Client) <-chan error {
	lost := make(chan error, 100)
	c.Lost = func(err error, _ time.Duration) {
		select {
		case lost <- err:
		default:
		}
	}
	return lost
}

// network makes the connections of a Client, while it is up.
type network struct {
	mu   sync.Mutex
	down bool
	conn net.Conn
}

func (n *network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		return nil, errors.New("the network is down")
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	n.conn = c
	return c, err
}

func (n *network) set(down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down = down; down {
		n.conn.Close()
	}
}

// client returns a Client that connects again within some milliseconds.
func client(url string, n *network) *wire.Client {
	config := &wsconn.Config{Subprotocols: []string{wire.SubprotocolBinary}, DialContext: n.dial}
	return &wire.Client{
		Dial:     func(ctx context.Context) (*wsconn.Conn, error) { return wsconn.Dial(ctx, url, config) },
		MinDelay: 4 * time.Millisecond, MaxDelay: 20 * time.Millisecond,
	}
}

// run runs a Client until the test ends, or the function is called, which returns Run's error.
func run(t *testing.T, c *wire.Client) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = c.Run(ctx)
	}()
	stop = func() error {
		cancel()
		<-done
		return err
	}
	t.Cleanup(func() { stop() })
	return stop
}

func publish(t *testing.T, c *wire.Client, name, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Publish(ctx, name, websocket.Text, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// TestClientComesBack: after an outage a subscription goes on behind its last message, with what
// the history has, and is told of a gap if that is not everything.
func TestClientComesBack(t *testing.T) {
	hub := &topic.Hub{Options: func(name string) topic.Options {
		return topic.Options{History: map[string]int{"long": 100, "short": 2}[name]}
	}}
	var n network
	c := client(serve(t, &wire.Endpoint{Hub: hub, Publish: shout}), &n)
	lost := losses(c)
	var long, short told
	subscriptions := []*wire.Subscription{long.subscription("long"), short.subscription("short")}
	for _, s := range subscriptions {
		if err := c.Subscribe(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Subscribe(subscriptions[0]); !errors.Is(err, topic.ErrSubscribed) {
		t.Error("subscribed twice:", err)
	}
	run(t, c)
	long.wait(t, "long begins")
	short.wait(t, "short begins")
	for _, name := range []string{"long", "short"} {
		publish(t, c, name, "one")
	}
	long.wait(t, "long ONE")
	short.wait(t, "short ONE")
	n.set(true)
	<-lost
	publishAll(t, hub, []string{"long", "short"}, "two", "three", "four")
	n.set(false)
	long.wait(t, "long begins", "long ONE", "long begins", "long two", "long three", "long four")
	short.wait(t, "short begins", "short ONE", "short begins", "short gap", "short three", "short four")
	publish(t, c, "long", "five")
	long.wait(t, "long four", "long FIVE")
	if at := subscriptions[0].Position(); at.Epoch == 0 || at.Seq != 5 {
		t.Error("it is at", at)
	}
	after, history := new(told), new(told)
	s := after.subscription("long")
	s.After = topic.Position{Epoch: subscriptions[0].Position().Epoch, Seq: 4}
	h := history.subscription("short")
	h.History = true
	other := client("", nil)
	other.Dial = c.Dial
	for _, s := range []*wire.Subscription{s, h} {
		if err := other.Subscribe(s); err != nil {
			t.Fatal(err)
		}
	}
	run(t, other)
	after.wait(t, "long begins", "long FIVE")
	history.wait(t, "short begins", "short three", "short four")
}

// publishAll publishes each of texts to all topics of names, by the server.
func publishAll(t *testing.T, hub *topic.Hub, names []string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, name := range names {
			if err := hub.Publish(name, websocket.Text, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestClientMissesTheFirst: who was told that there was no history yet, and missed the first
// messages, is told of a gap. It is not like one that has just come, and gets the history that
// there is.
func TestClientMissesTheFirst(t *testing.T) {
	hub := &topic.Hub{Options: func(name string) topic.Options {
		return topic.Options{History: map[string]int{"short": 2}[name]}
	}}
	var n network
	c := client(serve(t, &wire.Endpoint{Hub: hub, Publish: shout}), &n)
	lost := losses(c)
	var short, live told
	for _, s := range []*wire.Subscription{short.subscription("short"), live.subscription("live")} {
		s.History = true
		if err := c.Subscribe(s); err != nil {
			t.Fatal(err)
		}
	}
	run(t, c)
	short.wait(t, "short begins")
	live.wait(t, "live begins")
	n.set(true)
	<-lost
	publishAll(t, hub, []string{"short", "live"}, "one", "two", "three")
	n.set(false)
	short.wait(t, "short begins", "short begins", "short gap", "short two", "short three")
	live.wait(t, "live begins", "live begins", "live gap")
}

// TestClientPresence: who joins and leaves is told once, also who has left during an outage.
func TestClientPresence(t *testing.T) {
	hub := &topic.Hub{Options: func(string) topic.Options { return topic.Options{Presence: true} }}
	server := &websocket.Server{
		Subprotocols: []string{wire.SubprotocolBinary},
		Handshake:    func(h *websocket.Handshake) { h.Conn.Value = h.Request().URL.Query().Get("id") },
		Message: (&wire.Endpoint{Hub: hub, Member: func(c *websocket.Conn, _ string) *topic.Member {
			return &topic.Member{ID: c.Value.(string), Info: []byte("of " + c.Value.(string))}
		}}).Message,
	}
	url := wstest.Serve(t, server)
	var ada, bob told
	var n network
	a, b := client(url+"/?id=ada", &n), client(url+"/?id=bob", new(network))
	s := ada.subscription("room")
	s.Subscribed = nil
	if err := a.Subscribe(s); err != nil {
		t.Fatal(err)
	}
	run(t, a)
	ada.wait(t, "room +ada of ada")
	if err := b.Subscribe(bob.subscription("room")); err != nil {
		t.Fatal(err)
	}
	stop := run(t, b)
	ada.wait(t, "room +ada of ada", "room +bob of bob")
	if list, more := s.Members(); len(list) != 2 || list[1].ID != "bob" || more != 0 {
		t.Errorf("members %v, %d more", list, more)
	}
	n.set(true)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error("Run:", err)
	}
	n.set(false)
	ada.wait(t, "room +ada of ada", "room +bob of bob", "room -bob")
}

// TestClientIsRefused: what the server does not allow is told, and everything else goes on.
func TestClientIsRefused(t *testing.T) {
	hub := &topic.Hub{Authorize: func(_ *websocket.Conn, name string) error {
		if name == "secret" {
			return &wire.Error{Code: wire.CodeForbidden, Text: "no"}
		}
		return nil
	}}
	c := client(serve(t, &wire.Endpoint{Hub: hub, Publish: shout, MaxPublish: 10}), new(network))
	var l told
	run(t, c)
	for _, begin := range []struct{ topic, told string }{
		{"secret", "secret refused: 403"},
		{"room", "room begins"},
	} {
		if err := c.Subscribe(l.subscription(begin.topic)); err != nil {
			t.Fatal(err)
		}
		l.wait(t, begin.told)
	}
	var refused *wire.Error
	err := c.Publish(t.Context(), "room", websocket.Text, []byte("more than ten bytes"))
	if !errors.As(err, &refused) || refused.Code != wire.CodeTooLarge {
		t.Error("too large:", err)
	}
	if err := c.Publish(t.Context(), "room", 9, nil); err == nil {
		t.Error("a ping was published")
	}
	publish(t, c, "room", "one")
	l.wait(t, "room ONE")
	if c.Unsubscribe("secret") {
		t.Error("a refused subscription has ended twice")
	}
}

// accept waits for the client, with a script for a server.
func accept(server *wstest.Listener) *wstest.Peer {
	return server.Accept(&wstest.Answer{Subprotocol: wire.SubprotocolBinary})
}

// TestClientPublishFails: Publish returns when the connection is lost, ctx ends, and Run has
// returned.
func TestClientPublishFails(t *testing.T) {
	server := wstest.Listen(t)
	c := client(server.URL, new(network))
	early, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("too late")
	cancel(cause)
	if err := c.Publish(early, "room", websocket.Text, []byte("early")); !errors.Is(err, cause) {
		t.Error("without a connection:", err)
	}
	stop := run(t, c)
	p := accept(server)
	result := make(chan error)
	go func() { result <- c.Publish(t.Context(), "room", websocket.Text, []byte("hi")) }()
	p.Expect(wsproto.Binary, "\x03\x02\x04room\x01hi")
	p.CloseNow()
	if err := <-result; !errors.Is(err, wire.ErrLost) {
		t.Error("without an answer:", err)
	}
	p = accept(server)
	go func() { result <- c.Publish(t.Context(), "room", websocket.Binary, []byte("ho")) }()
	p.Expect(wsproto.Binary, "\x03\x03\x04room\x02ho")
	p.Send(wsproto.Binary, "\x86\x03")
	if err := <-result; err != nil {
		t.Error(err)
	}
	go func() { result <- c.Publish(t.Context(), "room", websocket.Binary, nil) }()
	p.Expect(wsproto.Binary, "\x03\x04\x04room\x02")
	go p.ExpectClose(websocket.NormalClosure)
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Error("Run:", err)
	}
	if err := <-result; !errors.Is(err, wire.ErrLost) {
		t.Error("while Run ends:", err)
	}
	if err := c.Publish(t.Context(), "room", websocket.Text, nil); !errors.Is(err, net.ErrClosed) {
		t.Error("after Run:", err)
	}
	if err := c.Subscribe(&wire.Subscription{Topic: "room"}); !errors.Is(err, net.ErrClosed) {
		t.Error("after Run:", err)
	}
}

// TestClientLeaves: what is still on its way for a subscription that was left is not taken for that
// of the next one.
func TestClientLeaves(t *testing.T) {
	server := wstest.Listen(t)
	c := client(server.URL, new(network))
	var before, after told
	if err := c.Subscribe(before.subscription("room")); err != nil {
		t.Fatal(err)
	}
	run(t, c)
	p := accept(server)
	p.Expect(wsproto.Binary, "\x01\x04room")
	if !c.Unsubscribe("room") {
		t.Error("there was no subscription")
	}
	if err := c.Subscribe(after.subscription("room")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\x02\x04room", "\x04", "\x01\x04room"} {
		p.Expect(wsproto.Binary, want)
	}
	for _, text := range []string{"\x81\x04room\x07\x01", "\x82\x04room\x07\x02\x01old", "\x88", "\x81\x04room\x07\x03",
		"\x82\x04room\x07\x03\x01had", "\x82\x04room\x07\x04\x01new"} {
		p.Send(wsproto.Binary, text)
	}
	after.wait(t, "room begins", "room new")
	if n, m := len(after.all()), len(before.all()); n != 2 || m != 0 {
		t.Errorf("it was told %q, and the one before %q", after.all(), before.all())
	}
}

// TestClientTriesAgain: if the server is busy, the Client asks again on the same connection.
func TestClientTriesAgain(t *testing.T) {
	server := wstest.Listen(t)
	c := client(server.URL, new(network))
	var l told
	if err := c.Subscribe(l.subscription("room")); err != nil {
		t.Fatal(err)
	}
	run(t, c)
	p := accept(server)
	for range 3 {
		p.Expect(wsproto.Binary, "\x01\x04room")
		p.Send(wsproto.Binary, "\x87\xf7\x03\x00\x04room\x04busy")
	}
	p.Expect(wsproto.Binary, "\x01\x04room")
	p.Send(wsproto.Binary, "\x81\x04room\x07\x01")
	l.wait(t, "room begins")
}

// TestClientClosesWhatIsMalformed: a server that breaks the rules is left, and told why.
func TestClientClosesWhatIsMalformed(t *testing.T) {
	server := wstest.Listen(t)
	run(t, client(server.URL, new(network)))
	for _, test := range []struct{ send, reason string }{
		{"", "too early"},
		{"\x82\x04roo", "too early"},
		{"\x82\x04room\x07\x01", "too early"},
		{"\x82\x04room\x07\x01\x09", "neither text nor binary"},
		{"\x86\x05\x00", "too many"},
		{"\x84\x04room\xff\xff\xff\xff\x0f", "too early"},
		{"\x88", "without a ping"},
	} {
		p := accept(server)
		p.Send(wsproto.Binary, test.send)
		if reason := p.ExpectClose(websocket.InvalidPayload); !strings.Contains(reason, test.reason) {
			t.Errorf("%q: %q, want %q", test.send, reason, test.reason)
		}
		p.CloseNow()
	}
	p := accept(server)
	p.Send(wsproto.Binary, "\x99of a later version")
	p.Close(websocket.GoingAway, "")
	server.Accept(nil).ExpectClose(websocket.PolicyViolation)
}

// TestPublishWithoutConnection: what waits for a connection is limited, also if there is none.
func TestPublishWithoutConnection(t *testing.T) {
	var c wire.Client
	ctx, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 17)
	for range cap(errs) {
		go func() { errs <- c.Publish(ctx, "room", websocket.Binary, make([]byte, 1<<20)) }()
	}
	if err := <-errs; !errors.Is(err, engine.ErrBusy) {
		t.Errorf("error %v", err)
	}
	cancel()
	for range cap(errs) - 1 {
		<-errs
	}
	if err := c.Publish(ctx, "room", websocket.Binary, make([]byte, 1<<20)); !errors.Is(err, context.Canceled) {
		t.Errorf("when nothing waits any more: error %v", err)
	}
}

// TestRunTwice: a second Run connected for good, though Publish returned net.ErrClosed since the
// first.
func TestRunTwice(t *testing.T) {
	server := wstest.Listen(t)
	c := client(server.URL, new(network))
	stop := run(t, c)
	accept(server)
	if err := c.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("beside the first: %v", err)
	}
	stop()
	if err := c.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the first: %v", err)
	}
}
