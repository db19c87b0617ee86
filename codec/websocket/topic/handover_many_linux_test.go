package topic_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestTopicsOfOneSubscriberMove: where topics were many, one whose last subscriber had moved was
// forgotten at once, before that had subscribed in the new process, and was told of a gap.
func TestTopicsOfOneSubscriberMove(t *testing.T) {
	const users = 40
	path := filepath.Join(t.TempDir(), "handover")
	g := succeedWith(t, path, &topic.Hub{Format: lines{}, MaxTopics: users})
	var peers []*wstest.Peer
	for i := range users {
		p := wstest.Dial(t, "ws://"+g.ln.String(), nil)
		script(t, p, fmt.Sprintf(`
			> sub user%d
			ok
			user%[1]d from 0
			> pub user%[1]d one
			ok
			user%[1]d 0<1 one`, i))
		peers = append(peers, p)
	}
	for n := 1; n < 4; n++ {
		next := succeedWith(t, path, &topic.Hub{Format: lines{}, MaxTopics: users})
		g.end(t)
		g = next
		for i, p := range peers {
			if err := g.hub.Publish(fmt.Sprint("user", i), websocket.Text, []byte("more")); err != nil {
				t.Fatal(err)
			}
			p.Expect(wsproto.Text, fmt.Sprintf("user%d %d<%d more", i, n, n+1))
		}
	}
}
