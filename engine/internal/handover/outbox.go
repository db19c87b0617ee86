package handover

// stageSize is how much of a frame is put together for one Send.
const stageSize = 64 << 10

// message is a frame that waits to be sent.
type message struct {
	head   []byte // the frame, or its beginning
	fds    []int
	items  []Item // whose states follow head
	sent   func() // is called when the whole frame is sent; nil: nothing
	secret []byte // is wiped then, or when the outbox is dropped
}

// outbox sends frames one after the other, in pieces, without copying a batch as a whole.
type outbox struct {
	queue []message
	stage []byte // a piece of the first one
	off   int    // of stage, which is sent
	item  int    // of the first one, the next to stage
	at    int    // of its state
	begun bool   // the first byte of the first one is sent, and its descriptors
}

func (o *outbox) empty() bool { return len(o.queue) == 0 }

func (o *outbox) push(m message) { o.queue = append(o.queue, m) }

// send sends as much as t takes. If nothing is left, err is nil, otherwise it is that of t.Send.
func (o *outbox) send(t Transport) (n int, err error) {
	for len(o.queue) > 0 {
		m := &o.queue[0]
		if o.off == len(o.stage) {
			o.fill(m)
		}
		fds := m.fds
		if o.begun {
			fds = nil
		}
		sent, err := t.Send(o.stage[o.off:], fds)
		if err != nil {
			return n, err
		}
		n += sent
		o.off += sent
		o.begun = o.begun || sent > 0
		if o.off == len(o.stage) && o.item == len(m.items) {
			o.next()
		}
	}
	return n, nil
}

// fill stages the next piece of m.
func (o *outbox) fill(m *message) {
	clear(o.stage)
	o.stage, o.off = o.stage[:0], 0
	if !o.begun {
		o.stage = append(o.stage, m.head...)
	}
	for o.item < len(m.items) && len(o.stage) < stageSize {
		rest := m.items[o.item].State[o.at:]
		n := min(len(rest), stageSize-len(o.stage))
		o.stage = append(o.stage, rest[:n]...)
		o.at += n
		if n == len(rest) {
			o.item, o.at = o.item+1, 0
		}
	}
}

// next goes on with the next frame: the first one is sent.
func (o *outbox) next() {
	m := o.queue[0]
	clear(m.secret)
	clear(o.stage)
	o.queue[0] = message{}
	o.queue = o.queue[1:]
	o.stage, o.off, o.item, o.at, o.begun = o.stage[:0], 0, 0, 0, false
	if m.sent != nil {
		m.sent()
	}
}

// drop forgets all that is not sent, and wipes it.
func (o *outbox) drop() {
	for _, m := range o.queue {
		clear(m.secret)
	}
	clear(o.stage[:cap(o.stage)])
	*o = outbox{}
}
