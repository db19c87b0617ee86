package kqueue

import (
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// kernel has what system calls return, for each descriptor, in order.
type kernel struct {
	reads   map[int][]answer
	accepts map[driver.Token][]answer
}

type answer struct {
	data  string
	errno syscall.Errno
	fd    int
}

func (k *kernel) read(fd int, b []byte) (int, syscall.Errno) {
	a := k.reads[fd]
	if len(a) == 0 {
		return 0, syscall.EAGAIN
	}
	k.reads[fd] = a[1:]
	return copy(b, a[0].data), a[0].errno
}

func (k *kernel) accept(t driver.Token) (int, syscall.Errno) {
	a := k.accepts[t]
	if len(a) == 0 {
		return -1, syscall.EAGAIN
	}
	k.accepts[t] = a[1:]
	return a[0].fd, a[0].errno
}

// sink records its calls. fds are the descriptors of live tokens.
type sink struct {
	fds     map[driver.Token]int
	buffer  [4]byte
	log     []string
	onClose func(driver.Token)
}

func (s *sink) note(format string, args ...any) { s.log = append(s.log, fmt.Sprintf(format, args...)) }

func (s *sink) Reading(t driver.Token) (int, []byte) {
	fd, ok := s.fds[t]
	if !ok {
		return -1, nil
	}
	return fd, s.buffer[:]
}

func (s *sink) Received(t driver.Token, b []byte, more bool) bool {
	s.note("%d received %s", t.Slot(), b)
	if string(b) == "boom" {
		panic("boom")
	}
	if string(b) == "die" {
		s.onClose(t)
	}
	return more
}
func (s *sink) ReadClosed(t driver.Token) { s.note("%d read closed", t.Slot()) }
func (s *sink) Datagrams(t driver.Token)  { s.note("%d datagrams", t.Slot()&^driver.DatagramBit) }
func (*sink) Awake()                      {}

func (s *sink) Writable(t driver.Token)          { s.note("%d writable", t.Slot()) }
func (s *sink) Failed(t driver.Token, err error) { s.note("%d failed: %v", t.Slot(), err) }
func (s *sink) Accepted(t driver.Token, fd int) bool {
	s.note("accepted %d", fd)
	return fd != 99
}
func (s *sink) AcceptFailed(t driver.Token, err error) { s.note("accept failed: %v", err) }

func token(slot uint32) driver.Token { return driver.MakeToken(slot, 1) }

// newBatch returns a batch that is delivered in the order of events.
func newBatch(events ...event) batch {
	b := batch{events: events}
	b.order.Begin(len(events))
	return b
}

func TestDeliver(t *testing.T) {
	listener := token(driver.ListenerBit)
	for _, c := range []struct {
		name    string
		events  []event
		reads   map[int][]answer
		accepts map[driver.Token][]answer
		want    []string
	}{
		{
			name:   "bytes",
			events: []event{{token: token(1), filter: readable}},
			reads:  map[int][]answer{11: {{data: "abc"}}},
			want:   []string{"1 received abc"},
		}, {
			name:   "more than the buffer holds",
			events: []event{{token: token(1), filter: readable}},
			reads:  map[int][]answer{11: {{data: "abcd"}, {data: "ef"}}},
			want:   []string{"1 received abcd", "1 received ef"},
		}, {
			name: "bytes before a FIN, which is reported again",
			events: []event{{token: token(1), filter: readable, eof: true},
				{token: token(1), filter: readable, eof: true}},
			reads: map[int][]answer{11: {{data: "abc"}, {}}},
			want:  []string{"1 received abc", "1 read closed"},
		}, {
			name:   "reset",
			events: []event{{token: token(1), filter: readable, eof: true, err: syscall.ECONNRESET}},
			reads:  map[int][]answer{11: {{errno: syscall.ECONNRESET}}},
			want:   []string{"1 failed: connection reset by peer"},
		}, {
			name:   "reset that the read does not tell",
			events: []event{{token: token(1), filter: readable, eof: true, err: syscall.ECONNRESET}},
			want:   []string{"1 failed: connection reset by peer"},
		}, {
			name:   "failed registration",
			events: []event{{token: token(1), filter: readable, err: syscall.EBADF}},
			want:   []string{"1 failed: bad file descriptor"},
		}, {
			name:   "writable, also by a hang-up",
			events: []event{{token: token(1), filter: writable}, {token: token(2), filter: writable, eof: true}},
			want:   []string{"1 writable", "2 writable"},
		}, {
			name: "end of a connection that is not read from",
			events: []event{{token: token(4), filter: readable, eof: true, err: syscall.ECONNRESET},
				{token: token(4), filter: readable}},
			want: []string{"4 writable"},
		}, {
			name: "spurious",
			events: []event{{token: token(1), filter: readable}, {token: 0, filter: readable},
				{token: token(1), filter: other}},
		}, {
			name:   "stale",
			events: []event{{token: driver.MakeToken(1, 7), filter: readable}},
			reads:  map[int][]answer{11: {{data: "not yours"}}},
		}, {
			name:   "accept",
			events: []event{{token: listener, filter: readable}},
			accepts: map[driver.Token][]answer{listener: {{fd: 20}, {errno: syscall.EINTR},
				{errno: syscall.ECONNABORTED}, {fd: 21}}},
			want: []string{"accepted 20", "accepted 21"},
		}, {
			name:    "accept within a budget",
			events:  []event{{token: listener, filter: readable}},
			accepts: map[driver.Token][]answer{listener: {{fd: 99}, {fd: 21}}},
			want:    []string{"accepted 99"},
		}, {
			name:    "accept without descriptors",
			events:  []event{{token: listener, filter: readable}},
			accepts: map[driver.Token][]answer{listener: {{errno: syscall.EMFILE}}},
			want:    []string{"accept failed: too many open files"},
		}, {
			name:    "closed listener",
			events:  []event{{token: listener, filter: readable}},
			accepts: map[driver.Token][]answer{listener: {{errno: syscall.EAGAIN}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &sink{fds: map[driver.Token]int{token(1): 11, token(2): 12}}
			b := newBatch(c.events...)
			if n := b.deliver(s, &kernel{c.reads, c.accepts}); n != len(c.events) || b.pending() {
				t.Errorf("%d events delivered of %d", n, len(c.events))
			}
			if !slices.Equal(s.log, c.want) {
				t.Errorf("%q, want %q", s.log, c.want)
			}
		})
	}
}

// TestStaleEventInBatch checks an event that is left over. The first event closes connection 1, and
// connection 3 gets its descriptor at once. The second event must not reach connection 3.
func TestStaleEventInBatch(t *testing.T) {
	var o owners
	o.set(11, token(1))
	o.set(12, token(2))
	s := &sink{fds: map[driver.Token]int{token(1): 11, token(2): 12}}
	s.onClose = func(driver.Token) {
		delete(s.fds, token(1))
		s.fds[token(3)] = 11
		o.set(11, token(3))
	}
	b := newBatch(event{token: o.of(12), filter: readable}, event{token: o.of(11), filter: readable})
	b.deliver(s, &kernel{reads: map[int][]answer{12: {{data: "die"}}, 11: {{data: "for 3"}}}})
	if want := []string{"2 received die"}; !slices.Equal(s.log, want) {
		t.Fatalf("%q, want %q", s.log, want)
	}
}

func TestPanicCostsNoOtherEvent(t *testing.T) {
	s := &sink{fds: map[driver.Token]int{token(1): 11, token(2): 12}}
	b := newBatch(event{token: token(1), filter: readable}, event{token: token(2), filter: readable})
	k := &kernel{reads: map[int][]answer{11: {{data: "boom"}}, 12: {{data: "x"}}}}
	func() {
		defer func() { recover() }()
		b.deliver(s, k)
	}()
	if !b.pending() {
		t.Fatal("the rest of the batch is lost")
	}
	b.deliver(s, k)
	if want := []string{"1 received boom", "2 received x"}; !slices.Equal(s.log, want) {
		t.Fatalf("%q, want %q", s.log, want)
	}
}

func TestChanges(t *testing.T) {
	const r, w = driver.Read, driver.Write
	for _, c := range []struct {
		name     string
		from, to registrations
		want     []change
	}{
		{"nothing", registered(0), registered(0), nil},
		{"register", 0, registered(r), []change{{readable, true}}},
		{"pause", registered(r), registered(0), []change{{readable, false}, {gone, true}}},
		{"resume", registered(0), registered(r), []change{{gone, false}, {readable, true}}},
		{"wait to write", registered(r), registered(r | w), []change{{writable, true}}},
		{"pause while waiting", registered(r | w), registered(w), []change{{readable, false}}},
		{"write instead", registered(r), registered(w), []change{{readable, false}, {writable, true}}},
		{"neither", registered(r | w), registered(0), []change{{readable, false}, {writable, false}, {gone, true}}},
		{"unregister", registered(r | w), 0, []change{{readable, false}, {writable, false}}},
		{"unregister while paused", registered(0), 0, []change{{gone, false}}},
	} {
		list, n := changes(c.from, c.to)
		if !slices.Equal(list[:n], c.want) {
			t.Errorf("%s: %v, want %v", c.name, list[:n], c.want)
		}
	}
}
