package nats

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestSmallPayload: the server, or the stream, takes less than a pack may have, and less than the
// members of a topic need. Packs that were larger waited for PublishTimeout and were given up, with
// all messages in them, and other nodes never learned of the members.
func TestSmallPayload(t *testing.T) {
	for _, c := range []struct {
		name            string
		payload, stored int32
	}{{"server", 16 << 10, 0}, {"stream", 1 << 20, 16 << 10}} {
		t.Run(c.name, func(t *testing.T) {
			port := freePorts(t, 1)[0]
			b := [2]*Broker{}
			r := [2]*recorder{}
			for i := range b {
				b[i] = &Broker{URL: fmt.Sprint("nats://127.0.0.1:", port), Existing: true}
				r[i] = newRecorder(b[i])
				startBroker(t, b[i], r[i])
			}
			const early, late = 1000, 2000
			text := strings.Repeat("x", 100)
			for i := range early { // before it is known what the server takes
				publish(t, b[0], "room", fmt.Sprint(i, text))
			}
			s := startServer(t, func(o *server.Options) { o.Port, o.MaxPayload = port, c.payload })
			makeStream(t, s, b[0], c.stored)
			ready(t, b[0])
			ready(t, b[1])
			subscribe(t, b[1], r[1], "room")
			until(t, "what was published before is stored", func() bool { return b[0].Stats().Stored == early })
			for i := range late {
				publish(t, b[0], "room", fmt.Sprint(i, text))
			}
			until(t, "all messages are stored", func() bool { return b[0].Stats().Stored == early+late })
			if n := b[0].Stats().Failed; n > 0 {
				t.Errorf("%d messages were given up", n)
			}
			for i := range 1000 {
				if err := b[0].Join("room", topic.Member{ID: fmt.Sprint(i), Info: []byte(text)}); err != nil {
					t.Fatal(err)
				}
			}
			until(t, "all members are present", func() bool {
				r[1].mu.Lock()
				defer r[1].mu.Unlock()
				return len(r[1].present["room"]) == 1000
			})
		})
	}
}

// makeStream makes the stream of a Broker, as an operator does.
func makeStream(t *testing.T, s *server.Server, b *Broker, maxMsgSize int32) {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	config, err := b.StreamConfig()
	if err != nil {
		t.Fatal(err)
	}
	config.MaxMsgSize = maxMsgSize
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}
