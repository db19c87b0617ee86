package wire

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// Subscription is what a Client subscribes to. Client.Run calls its functions, one at a time; those
// that are nil are not called. Its fields must not be changed after Client.Subscribe, and it is for
// one Client. Its methods may be called from any goroutine.
type Subscription struct {
	Topic string
	// After is the position of the last message that the program has, if it has one: it gets those
	// behind it. It is a zero Position otherwise.
	After topic.Position
	// History begins with the messages that the server has kept, if After is zero. By default it
	// begins with the next message.
	History bool

	// Message is called with each message. m and its data are valid until it returns. Prev is 0.
	Message func(m *topic.Message)
	// Gap is called if messages may have been missed that will not come.
	Gap func(g topic.Gap)
	// Subscribed is called each time that the subscription has begun, again after each reconnect.
	Subscribed func(at topic.Position)
	// Presence is called when members have joined, or changed, or left.
	Presence func(joined, left []topic.Member)
	// Refused is called if the server does not allow the subscription, which has ended then. If
	// the server is busy, the Client tries again instead.
	Refused func(err *Error)

	mu      sync.Mutex
	known   bool // at is known
	at      topic.Position
	begun   bool // since the server was asked last
	asked   int  // how often it was
	again   int  // asked, when it was decided to ask again; 0: it was not
	members map[string]topic.Member
	more    int
	early   map[string]*topic.Member // who joined, or left (nil), before the list; nil after it
}

// Position returns the position of the last message, or where the subscription has begun. It is
// zero before that is known.
func (s *Subscription) Position() topic.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// Members returns who is present at a topic with presence, by ID, and how many more are whom the
// server does not list.
func (s *Subscription) Members() (list []topic.Member, more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list = slices.SortedFunc(maps.Values(s.members), byID)
	return list, s.more
}

func byID(a, b topic.Member) int { return cmp.Compare(a.ID, b.ID) }

// timesAsked returns how often the server was asked for the subscription.
func (s *Subscription) timesAsked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// mayAskAgain returns timesAsked, and reports whether nobody has called it since the server was
// asked last.
func (s *Subscription) mayAskAgain() (asked int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ok = s.again != s.asked
	s.again = s.asked
	return s.asked, ok
}

// begin prepares a subscription for a Client.
func (s *Subscription) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.After
	s.known = s.History || s.After != topic.Position{}
	s.members, s.more = make(map[string]topic.Member), 0
}

// request returns what asks the server for the subscription.
func (s *Subscription) request() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = false
	s.asked++
	s.early = make(map[string]*topic.Member)
	b := putString([]byte{byte(kindSubscribe)}, s.Topic)
	if s.known {
		b = putPosition(b, s.at)
	}
	return b
}

// receive takes what the server says about the topic. Run calls it.
func (s *Subscription) receive(e *event) {
	switch e.kind {
	case eventSubscribed:
		s.start(e.at)
		if s.Subscribed != nil {
			s.Subscribed(e.at)
		}
	case eventMessage:
		if s.advance(e.at) && s.Message != nil {
			s.Message(&topic.Message{Position: e.at, Op: e.op, Data: e.data})
		}
	case eventGap:
		// Before the beginning there is nothing that could be missed.
		if s.Gap != nil && e.at != (topic.Position{}) {
			s.Gap(topic.Gap{After: e.at, Next: e.next})
		}
	case eventMembers:
		s.tell(s.list(e.members, e.more))
	case eventPresence:
		s.tell(s.change(e.members, e.left))
	}
}

// start notes that messages after a position follow.
func (s *Subscription) start(at topic.Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begun = true
	if !s.known || s.at.Epoch != at.Epoch { // also if at is zero: see topic.SubscribeConfig.Recover
		s.at, s.known = at, true
	}
}

// advance reports whether a message is behind the last one, and makes it the last one. Of different
// epochs nothing is known.
func (s *Subscription) advance(at topic.Position) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun || at.Epoch == s.at.Epoch && at.Seq <= s.at.Seq {
		return false
	}
	s.at = at
	return true
}

func (s *Subscription) tell(joined, left []topic.Member) {
	if s.Presence != nil && len(joined)+len(left) > 0 {
		s.Presence(joined, left)
	}
}

// list takes the list of members. It may be older than the changes that came before it. Those who
// left while there was no connection are in neither.
func (s *Subscription) list(members []topic.Member, more int) (joined, left []topic.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := make(map[string]topic.Member, len(members))
	for _, m := range members {
		now[m.ID] = m
	}
	for id, m := range s.early {
		if m == nil {
			delete(now, id)
		} else {
			now[id] = *m
		}
	}
	s.early, s.more = nil, more
	for id, m := range s.members {
		if _, is := now[id]; !is {
			left = append(left, m)
		}
	}
	return s.replace(slices.Collect(maps.Values(now)), left)
}

// change takes those who joined and the ids of those who left.
func (s *Subscription) change(members []topic.Member, ids []string) (joined, left []topic.Member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.early != nil {
			s.early[id] = nil
		}
		if m, is := s.members[id]; is {
			left = append(left, m)
		}
	}
	for i := range members {
		if s.early != nil {
			s.early[members[i].ID] = &members[i]
		}
	}
	return s.replace(members, left)
}

// replace changes the members, and returns those for whom something has changed, by ID.
func (s *Subscription) replace(members, left []topic.Member) (joined, gone []topic.Member) {
	for _, m := range left {
		delete(s.members, m.ID)
	}
	for _, m := range members {
		was, is := s.members[m.ID]
		if !is || string(was.Info) != string(m.Info) {
			joined = append(joined, m)
		}
		s.members[m.ID] = m
	}
	slices.SortFunc(joined, byID)
	slices.SortFunc(left, byID)
	return joined, left
}
