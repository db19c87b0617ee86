package nats

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestManyAskForMembers: the members of a topic come back after an outage, and each asks who is
// present. A list was made for each, for so long that other nodes took this one for dead.
func TestManyAskForMembers(t *testing.T) {
	const members, asks = 2000, 1000
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	subscribe(t, b[0], r[0], "room")
	for i := range members {
		join(t, b[0], "room", fmt.Sprint(i))
	}
	list := func() []topic.Member {
		all := make(chan []topic.Member, 1)
		b[0].Members("room", func(list []topic.Member, err error) {
			if err != nil {
				t.Error(err)
			}
			all <- list
		})
		return <-all
	}
	until(t, "all members are there", func() bool { return len(list()) == members })
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	done := make(chan int, asks)
	for range asks {
		b[0].Members("room", func(list []topic.Member, _ error) { done <- len(list) })
	}
	for range asks {
		if n := <-done; n != members {
			t.Fatalf("%d members, want %d", n, members)
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 10<<20 {
		t.Errorf("%d MiB were allocated to answer %d", n>>20, asks)
	}
	join(t, b[0], "room", "new")
	b[0].Leave("room", "0")
	until(t, "the list has changed", func() bool {
		all := list()
		is := func(id string) bool {
			return slices.ContainsFunc(all, func(m topic.Member) bool { return m.ID == id })
		}
		return len(all) == members && is("new") && !is("0")
	})
}

// TestCloseTwiceAtOnce: several goroutines close a Broker that uses a connection of the program's.
func TestCloseTwiceAtOnce(t *testing.T) {
	s := startServer(t, nil)
	nc, err := nats.Connect(s.ClientURL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b := &Broker{Conn: nc}
	r := newRecorder(b)
	startBroker(t, b, r)
	ready(t, b)
	for i := range 20 {
		subscribe(t, b, r, fmt.Sprint(i))
		join(t, b, fmt.Sprint(i), "ann")
	}
	closed := make(chan error, 4)
	for range cap(closed) {
		go func() { closed <- b.Close(t.Context()) }()
	}
	for range cap(closed) {
		select {
		case err := <-closed:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Close does not return")
		}
	}
	if n := nc.NumSubscriptions(); n > 1 { // nats.go has one for answers
		t.Errorf("%d subscriptions are left", n)
	}
}
