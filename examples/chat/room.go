package main

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

const (
	maxName    = 24   // characters
	maxText    = 2000 // characters
	maxHistory = 50   // messages that are sent to newcomers
)

// event is a message on the WebSocket, in either direction. A client sends join first, then say.
type event struct {
	Type    string   `json:"type"`
	ID      int64    `json:"id,omitempty"`
	Name    string   `json:"name,omitempty"`
	Text    string   `json:"text,omitempty"`
	Time    int64    `json:"time,omitempty"` // Unix time in milliseconds
	People  []person `json:"people,omitempty"`
	History []event  `json:"history,omitempty"`
}

type person struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// room has all people who have joined. They are on several loops, so it has a lock. The lock is
// held while a message is handed to the loops, so that everyone sees the messages in the same
// order.
type room struct {
	mu      sync.Mutex
	last    int64 // the latest ID
	people  map[websocket.Handle]person
	history []event
}

func (r *room) message(c *websocket.Conn, e event) {
	who, joined := c.Value.(person)
	switch {
	case e.Type == "join" && !joined:
		r.join(c, e.Name)
	case e.Type == "say" && joined:
		r.say(c, who, e.Text)
	default:
		tell(c, event{Type: "error", Text: "unexpected type " + strconv.Quote(e.Type)})
	}
}

func (r *room) join(c *websocket.Conn, name string) {
	name = clean(name)
	if name == "" || utf8.RuneCountInString(name) > maxName {
		tell(c, event{Type: "error", Text: "A name has 1 to 24 characters."})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.people == nil {
		r.people = make(map[websocket.Handle]person)
	}
	r.last = max(r.last+1, time.Now().UnixMilli()) // never an ID from before a restart
	who := person{ID: r.last, Name: name}
	c.Value = who
	r.broadcast(event{Type: "joined", ID: who.ID, Name: who.Name})
	r.people[c.Handle()] = who
	welcome := event{Type: "welcome", ID: who.ID, Name: who.Name, History: r.history}
	for p := range maps.Values(r.people) {
		welcome.People = append(welcome.People, p)
	}
	tell(c, welcome)
}

func (r *room) say(c *websocket.Conn, who person, text string) {
	text = strings.TrimSpace(text)
	if text == "" || utf8.RuneCountInString(text) > maxText {
		tell(c, event{Type: "error", Text: "A message has 1 to 2000 characters."})
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := event{Type: "say", ID: who.ID, Name: who.Name, Text: text, Time: time.Now().UnixMilli()}
	r.history = append(r.history, e)
	if len(r.history) > maxHistory {
		r.history = append([]event(nil), r.history[1:]...)
	}
	r.broadcast(e)
}

func (r *room) leave(c *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if who, ok := r.people[c.Handle()]; ok {
		delete(r.people, c.Handle())
		r.broadcast(event{Type: "left", ID: who.ID, Name: who.Name})
	}
}

// broadcast sends e to all who have joined. It encodes e once and posts one task per loop. The
// caller holds the lock.
func (r *room) broadcast(e event) {
	if data, err := json.Marshal(e); err == nil {
		websocket.Broadcast(websocket.Prepare(websocket.Text, data), maps.Keys(r.people), engine.SlowClose)
	}
}

// tell sends e to one connection, through its Handle like a broadcast, so that the two keep their
// order.
func tell(c *websocket.Conn, e event) {
	if data, err := json.Marshal(e); err == nil {
		c.Handle().Send(websocket.Text, data)
	}
}

// clean returns a name without invisible characters, with single spaces.
func clean(name string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, name)
	return strings.Join(strings.Fields(visible), " ")
}
