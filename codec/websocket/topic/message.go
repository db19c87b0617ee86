package topic

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/myriadnet/myriad/codec/websocket"
)

// forms are a message as each Format in use makes it, made when it is needed first. Loops share
// them, and so does the history.
type forms struct {
	mu  sync.Mutex // held while a Format makes one
	all []form

	counting sync.Mutex // taken behind mu; Publish needs it, which must not wait for Formats
	cache    *formCache // nil: nobody keeps them
	keepers  int        // a history, and a topic whose newest message it is
	counted  int        // of cache.bytes
}

type form struct {
	format   Format
	prepared *websocket.Prepared // nil: nothing is sent
	made     bool
	fresh    bool // get has made it for this caller
	failed   bool // the Format has panicked
}

// get returns the form of a Format. If there is none, make appends it to nil, or panics.
func (f *forms) get(format Format, make func() (websocket.Opcode, []byte)) form {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.all {
		if f.all[i].format == format {
			return f.all[i]
		}
	}
	made := form{format: format, made: true}
	if op, b, ok := tried(make); !ok {
		made.failed = true
	} else if b != nil {
		made.prepared = websocket.Prepare(op, b)
	}
	f.all = append(f.all, made)
	made.fresh = true
	return made
}

// formCache is the memory of what was made of messages that are kept. It may be much more than the
// messages: one for each Format, and for each of these one for each size of window.
type formCache struct {
	bytes atomic.Int64
	most  int64
}

// keep says that somebody keeps the message.
func (f *forms) keep(c *formCache) {
	f.counting.Lock()
	defer f.counting.Unlock()
	f.cache = c
	f.keepers++
}

// release ends keep.
func (f *forms) release() {
	f.counting.Lock()
	defer f.counting.Unlock()
	if f.keepers--; f.keepers > 0 {
		return
	}
	f.cache.bytes.Add(int64(-f.counted))
	f.cache, f.counted = nil, 0
}

// settle is called when the message was sent. It counts what was made for that, or gives it up if
// that is too much: it can be made again.
func (f *forms) settle() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.isKept() {
		return
	}
	size := 0
	for i := range f.all {
		size += int(unsafe.Sizeof(form{}))
		if p := f.all[i].prepared; p != nil {
			size += p.Size()
		}
	}
	f.counting.Lock()
	defer f.counting.Unlock()
	c := f.cache
	if c == nil {
		return
	}
	more := size - f.counted
	f.counted = size
	if c.bytes.Add(int64(more)) > c.most && more > 0 {
		c.bytes.Add(int64(-size))
		f.all, f.counted = nil, 0
	}
}

func (f *forms) isKept() bool {
	f.counting.Lock()
	defer f.counting.Unlock()
	return f.cache != nil
}

// tried calls a function of a Format. It reports false if that panics, which it logs: no connection
// is to blame.
func tried(make func() (websocket.Opcode, []byte)) (op websocket.Opcode, b []byte, ok bool) {
	defer func() {
		if !ok {
			logPanic("a Format", textOf(recover()))
		}
	}()
	op, b = make()
	return op, b, true
}

// form returns the message as a Format makes it.
func (m *Message) form(topic string, f Format) form {
	return m.forms.get(f, func() (websocket.Opcode, []byte) {
		if f == nil {
			return m.Op, m.whole()
		}
		return f.Opcode(), f.Message(nil, topic, m)
	})
}

// whole returns the data, which is not nil: empty messages are sent, too.
func (m *Message) whole() []byte {
	if m.Data == nil {
		return []byte{}
	}
	return m.Data
}

// messageCost is about the memory of a message that waits, without its data.
const messageCost = 192

func (m *Message) cost() int { return messageCost + len(m.Data) }

// alone returns m without the messages that are in memory beside it, for who keeps it.
func (m *Message) alone() *Message {
	one := *m
	return &one
}

// isAfter reports whether p is a later position than q of the same epoch.
func (p Position) isAfter(q Position) bool { return p.Epoch == q.Epoch && p.Seq > q.Seq }

// isUpTo reports whether who is at q of the same epoch has seen p.
func (p Position) isUpTo(q Position) bool { return p.Epoch == q.Epoch && p.Seq <= q.Seq }

// before returns the position just before p. There need not be a message there.
func (p Position) before() Position { return Position{p.Epoch, p.Seq - 1} }
