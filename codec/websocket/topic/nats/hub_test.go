package nats

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// texts is a Format that tells everything but positions.
type texts struct{}

func (texts) Opcode() websocket.Opcode { return websocket.Text }

func (texts) Message(dst []byte, _ string, m *topic.Message) []byte { return append(dst, m.Data...) }

func (texts) Subscribed(dst []byte, name string, _ topic.Position) []byte {
	return append(dst, "in "+name...)
}

func (texts) Gap(dst []byte, _ string, _ topic.Gap) []byte { return append(dst, "gap"...) }

func (texts) Present(dst []byte, _ string, joined, left []topic.Member) []byte {
	for _, m := range joined {
		dst = append(dst, "+"+m.ID+" "...)
	}
	for _, m := range left {
		dst = append(dst, "-"+m.ID+" "...)
	}
	return dst
}

// startHub starts a Hub on a Broker of its own. Clients say which topic they subscribe to, and
// then what they publish there.
func startHub(t *testing.T, url string, options topic.Options) (b *Broker, address string) {
	t.Helper()
	b = &Broker{URL: url, CheckInterval: 500 * time.Millisecond}
	h := &topic.Hub{
		Broker: b, Format: texts{},
		Options: func(string) topic.Options { return options },
	}
	s := &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		name, text, publishes := strings.Cut(string(data), ": ")
		var err error
		if publishes {
			err = h.Publish(name, op, []byte(text))
		} else {
			name, id, _ := strings.Cut(name, " as ")
			err = topic.SubscribeConfig{Member: &topic.Member{ID: id}}.Subscribe(h, c, name)
		}
		if err != nil {
			c.SendText(err.Error())
		}
	}}
	address = wstest.Serve(t, s)
	t.Cleanup(h.Close)
	return b, address
}

// TestHubs checks Hubs of two nodes, with connections, while the server of NATS is lost.
func TestHubs(t *testing.T) {
	s := startServer(t, nil)
	port := s.Addr().(*net.TCPAddr).Port
	var peers [2]*wstest.Peer
	var brokers [2]*Broker
	for i := range peers {
		var address string
		brokers[i], address = startHub(t, s.ClientURL(), topic.Options{History: 100})
		peers[i] = wstest.Dial(t, address, nil)
		peers[i].Send(wsproto.Text, "a room")
		peers[i].Expect(wsproto.Text, "in a room")
	}
	say := func(from int, text string) {
		t.Helper()
		peers[from].Send(wsproto.Text, "a room: "+text)
		for _, p := range peers {
			p.Expect(wsproto.Text, text)
		}
	}
	for i := range 50 {
		say(i%2, fmt.Sprint("message ", i))
	}
	s.Shutdown()
	s.WaitForShutdown()
	until(t, "the node knows", func() bool { return !brokers[0].nc.Load().IsConnected() })
	peers[0].Send(wsproto.Text, "a room: while it is down")
	startServer(t, func(o *server.Options) { o.Port = port })
	for _, p := range peers {
		p.Expect(wsproto.Text, "gap") // all was in memory
		p.Expect(wsproto.Text, "while it is down")
	}
	say(1, "afterwards")
}

// TestHubPresence checks that members on two nodes see each other.
func TestHubPresence(t *testing.T) {
	s := startServer(t, nil)
	_, one := startHub(t, s.ClientURL(), topic.Options{Presence: true})
	_, two := startHub(t, s.ClientURL(), topic.Options{Presence: true})
	ann := wstest.Dial(t, one, nil)
	ann.Send(wsproto.Text, "room as ann")
	ann.Expect(wsproto.Text, "in room")
	ann.Expect(wsproto.Text, "+ann ")
	bob := wstest.Dial(t, two, nil)
	bob.Send(wsproto.Text, "room as bob")
	ann.Expect(wsproto.Text, "+bob ")
	bob.CloseNow()
	ann.Expect(wsproto.Text, "-bob ")
}
