package nats

import (
	"fmt"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// silent returns the presence of a Broker that has no connection.
func silent(t *testing.T) *presence {
	t.Helper()
	b := new(Broker)
	var err error
	if b.cfg, err = b.settings(); err != nil {
		t.Fatal(err)
	}
	b.topics.init()
	b.presence.init(b)
	return &b.presence
}

// TestIdleTopicsCostLittle: each of ten turns per second looked at all topics. With 100,000 of them
// that was all that the goroutine did, so that this node took others for dead, and they this one.
func TestIdleTopicsCostLittle(t *testing.T) {
	const rooms = 20_000
	p := silent(t)
	heard := time.Now()
	for i := range rooms {
		r := p.room(fmt.Sprint(i))
		r.followed, r.version, r.nextDigest = true, 1, heard.Add(time.Hour)
		r.node("other").heard = heard
	}
	now := heard.Add(digestTimeout + time.Second)
	left := func() (n int) {
		for _, r := range p.order {
			n += len(r.nodes)
		}
		return n
	}
	for turns := 1; left() > 0; turns++ {
		before := left()
		p.turn(now)
		if n := before - left(); n > 2*rooms/roundTurns {
			t.Fatalf("%d topics in a turn", n)
		}
		if turns > roundTurns {
			t.Fatalf("%d topics had no turn", left())
		}
	}
}

// TestRoomsComeAndGo: each topic that is there has its turn, and none that is gone.
func TestRoomsComeAndGo(t *testing.T) {
	p := silent(t)
	for i := range 100 {
		p.waits(p.room(fmt.Sprint(i)))
	}
	for i := range 100 {
		if i%3 != 0 {
			p.release(p.rooms[fmt.Sprint(i)])
		}
	}
	if len(p.rooms) != 34 || len(p.order) != 34 || len(p.due) != 34 {
		t.Fatalf("%d rooms, %d in order, %d wait", len(p.rooms), len(p.order), len(p.due))
	}
	for i, r := range p.order {
		if r.place != i || p.rooms[r.topic] != r {
			t.Errorf("room %q is at %d, and says %d", r.topic, i, r.place)
		}
	}
	for range 2 * roundTurns {
		p.turn(time.Now())
	}
	if len(p.due) > 0 {
		t.Errorf("%d wait for nothing", len(p.due))
	}
}

// TestManyLeaveBeforeTheBegin: members come and go before the Sink may be told. Each that left was
// looked for among all that had joined: 1.6 s for 20,000.
func TestManyLeaveBeforeTheBegin(t *testing.T) {
	const members = 100_000
	p := silent(t)
	r := p.room("room")
	n := r.node("other")
	begin := time.Now()
	for i := range members {
		r.add(n, topic.Member{ID: fmt.Sprint(i)})
	}
	for i := range members {
		r.drop(n, fmt.Sprint(members-1-i))
	}
	if len(r.news) > 0 {
		t.Errorf("there are %d news", len(r.news))
	}
	if took := time.Since(begin); took > 20*time.Second { // it was minutes
		t.Errorf("it took %v", took)
	}
	r.add(n, topic.Member{ID: "ann"})
	r.drop(n, "ann")
	r.add(n, topic.Member{ID: "ann"})
	if len(r.news) != 1 || r.news["ann"].left {
		t.Errorf("news %v", r.news)
	}
}
