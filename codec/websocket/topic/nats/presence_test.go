package nats

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// who returns the members that a node knows of, in order, as it was told.
func (r *recorder) who(name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(r.present[name])), " ")
}

// join makes a member join.
func join(t *testing.T, b *Broker, name, id string) {
	t.Helper()
	if err := b.Join(name, topic.Member{ID: id, Info: []byte("info of " + id)}); err != nil {
		t.Fatal(err)
	}
}

// TestPresence checks that nodes know each other's members, that a member on two nodes is one, and
// that they leave when their node ends, or dies.
func TestPresence(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	join(t, b[0], "room", "ann") // before others follow the topic
	for i := range b {
		subscribe(t, b[i], r[i], "room")
	}
	is := func(want string) {
		t.Helper()
		for i := range r {
			until(t, want+" are present", func() bool { return r[i].who("room") == want })
		}
	}
	is("ann")
	join(t, b[1], "room", "bob")
	join(t, b[1], "room", "ann")
	join(t, b[1], "room", "ann")
	is("ann bob")
	b[0].Leave("room", "ann")
	join(t, b[0], "room", "cid")
	is("ann bob cid")
	b[1].Leave("room", "ann")
	join(t, b[1], "room", "dan")
	is("ann bob cid dan")
	b[1].Leave("room", "ann")
	is("bob cid dan")
	if got := r[0].present["room"]["bob"]; got != "info of bob" {
		t.Error(got)
	}
	for i, told := range [][]string{r[0].told, r[1].told} {
		if n := len(slices.DeleteFunc(slices.Clone(told), func(s string) bool { return s[1:] != "ann" })); n != 2 {
			t.Errorf("node %d was told %v", i, told)
		}
	}
	c := &Broker{URL: s.ClientURL()}
	rc := newRecorder(c)
	startBroker(t, c, rc)
	ready(t, c)
	if got := members(t, c, "room"); got != "bob cid dan" {
		t.Error("a node that does not follow the topic knows", got)
	}
	if got := members(t, b[0], "room"); got != "bob cid dan" {
		t.Error("a node that follows the topic knows", got)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := b[1].Close(ctx); err != nil {
		t.Fatal(err)
	}
	until(t, "the members of a node that ends leave", func() bool { return r[0].who("room") == "cid" })
}

// members asks who is present.
func members(t *testing.T, b *Broker, name string) string {
	t.Helper()
	c := make(chan string, 1)
	b.Members(name, func(all []topic.Member, err error) {
		if err != nil {
			c <- err.Error()
			return
		}
		var ids []string
		for _, m := range all {
			ids = append(ids, m.ID)
		}
		slices.Sort(ids)
		c <- strings.Join(ids, " ")
	})
	select {
	case s := <-c:
		return s
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
	}
	return ""
}

// TestPresenceOfDeadNode checks that the members of a node that is cut off leave, and come back
// with it.
func TestPresenceOfDeadNode(t *testing.T) {
	s := startServer(t, nil)
	p := startProxy(t, s.Addr().String())
	a := &Broker{URL: s.ClientURL()}
	b := &Broker{URL: "nats://" + p.Addr().String()}
	ra, rb := newRecorder(a), newRecorder(b)
	startBroker(t, a, ra)
	startBroker(t, b, rb)
	ready(t, a)
	ready(t, b)
	subscribe(t, a, ra, "room")
	join(t, a, "room", "ann")
	subscribe(t, b, rb, "room")
	join(t, b, "room", "bob")
	until(t, "both are present", func() bool { return ra.who("room") == "ann bob" && rb.who("room") == "ann bob" })
	p.block(true)
	start := time.Now()
	until(t, "those of the node that is not heard leave", func() bool { return ra.who("room") == "ann" })
	if took := time.Since(start); took < 2*time.Second || took > 6*time.Second {
		t.Errorf("after %v", took)
	}
	until(t, "the others leave, as seen from there", func() bool { return rb.who("room") == "bob" })
	p.block(false)
	until(t, "they come back", func() bool { return ra.who("room") == "ann bob" && rb.who("room") == "ann bob" })
}

// TestPresenceMissedChange checks that a change that was lost is made good with the next one.
func TestPresenceMissedChange(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	for i := range b {
		subscribe(t, b[i], r[i], "room")
	}
	join(t, b[0], "room", "ann")
	until(t, "ann is present", func() bool { return r[1].who("room") == "ann" })
	data := appendNotice(nil, &notice{
		kind: noticeChange, node: b[0].node, topic: "room", before: 77, version: 78,
		left: []string{"ann"},
	})
	if err := b[1].nc.Load().Publish(b[1].subject("presence", "room"), data); err != nil {
		t.Fatal(err)
	}
	join(t, b[0], "room", "bob")
	until(t, "both are present", func() bool { return r[1].who("room") == "ann bob" })
	if slices.Contains(r[1].told, "-ann") {
		t.Error("a change that does not fit was believed:", r[1].told)
	}
}

// TestPresenceOfMany checks that a state of many parts comes over.
func TestPresenceOfMany(t *testing.T) {
	s := startServer(t, nil)
	b, r := pair(t, s.ClientURL())
	const count = 3000
	info := []byte(strings.Repeat("x", 500))
	for i := range count {
		if err := b[0].Join("room", topic.Member{ID: fmt.Sprint(i), Info: info}); err != nil {
			t.Fatal(err)
		}
	}
	subscribe(t, b[1], r[1], "room")
	until(t, "all are present", func() bool {
		r[1].mu.Lock()
		defer r[1].mu.Unlock()
		return len(r[1].present["room"]) == count
	})
}

// FuzzNotice checks that no bytes make parseNotice panic or take much memory, and that notices
// survive.
func FuzzNotice(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendNotice(nil, &notice{
		kind: noticeChange, node: "n", topic: "t", before: 1, version: 2, last: true,
		joined: []topic.Member{{ID: "a", Info: []byte("b")}}, left: []string{"c"},
	}))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := parseNotice(data)
		if err != nil {
			return
		}
		again, err := parseNotice(appendNotice(nil, &n))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(n) {
			t.Errorf("%+v became %+v, %v", n, again, err)
		}
	})
}
