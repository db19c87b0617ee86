package sim

import (
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

type kind uint8

const (
	accepting kind = 1 << iota
	reading
	writing
)

// event is one line of a batch. As in the kernel, its token is the one that was registered when the
// batch was collected.
type event struct {
	kind  kind
	token driver.Token
	from  *socket // accepting only
	data  []byte  // Config.Completion: what was read
	err   error   // Config.Completion: how the read ended
}

// Poll collects a batch of events and delivers them in an order that the seed gives.
//
// If there is nothing to deliver, it lets the clock run: up to timeout, but not beyond the next
// arrival on the wire or what other loops wait for. It may therefore return 0 early. A Poll without
// a timeout that nothing can end returns 0, too: see Network.Idle.
func (d *loopDriver) Poll(timeout time.Duration, s driver.Sink) (int, error) {
	n := d.n
	d.check("Poll")
	if d.polling {
		n.misuse("Poll called by a Sink method of driver %d", d.id)
	}
	d.polling = true
	defer func() { d.polling = false }()

	n.counts.Polls++
	d.polls++
	n.advance(n.now + n.cfg.Faults.Tick)
	d.until = forever
	begin := n.now
	if timeout >= 0 {
		d.until = n.now + timeout
	}
	rest := d.next < len(d.batch) // a Sink method panicked in the last Poll: this one does not wait
	if !rest {
		n.disturb()
		withheld := d.collect()
		if len(d.batch) == 0 && !withheld && !d.woken.Load() && timeout != 0 {
			n.counts.Waits++
			if n.hit(&d.place, n.cfg.Faults.SpuriousWake, &n.counts.SpuriousWake) {
				d.until = n.now
				s.Awake()
				return 1, nil
			}
			n.wait(d)
			d.collect()
		}
	}
	if timeout != 0 && !rest {
		s.Awake()
	}
	seen := len(d.batch) - d.next
	if d.woken.Swap(false) {
		n.counts.Wakes++
		seen++
	}
	if seen > 0 {
		d.until = n.now // the loop works, and the clock stands until it polls again
	}
	if seen > 0 || n.now > begin {
		n.note("driver %d: poll %v: %d", d.id, timeout, seen)
	}
	for d.next < len(d.batch) {
		e := d.batch[d.next]
		d.batch[d.next] = event{}
		d.next++
		d.deliver(e, s)
	}
	if n.hit(&d.place, n.cfg.Faults.Stop, &n.counts.Stop) {
		n.advance(n.now + n.upTo(n.cfg.Faults.MaxJump, 10*time.Second))
	}
	return seen, nil
}

// ready returns the events that a registration would report.
func (s *socket) ready() (k kind) {
	if s.packets != nil {
		if s.interest&driver.Read != 0 && len(s.packets.queue) > 0 {
			k |= reading
		}
		if s.interest&driver.Write != 0 {
			k |= writing
		}
		return k
	}
	if s.end == nil {
		if s.accept && len(s.queue) > 0 {
			k = accepting
		}
		return k
	}
	if s.connecting {
		if s.interest&driver.Write != 0 && s.due <= s.loop.n.now {
			k = writing
		}
		return k
	}
	if s.interest&driver.Read != 0 && s.end.readable() {
		k |= reading
	}
	if s.interest&driver.Write != 0 && s.end.writable() || s.interest == 0 && s.end.broken && !s.told {
		k |= writing
	}
	return k
}

// maxSpurious is how many Polls in a row, of all loops together, deliver nothing but spurious
// events. The clock stands meanwhile: with many connections, what waits for a timer would wait for
// hundreds of thousands of Polls. Then there are none until the clock moves.
const maxSpurious = 100

// collect fills d.batch. It reports whether it left out an event.
func (d *loopDriver) collect() (withheld bool) {
	n, f, c := d.n, &d.n.cfg.Faults, &d.n.counts
	d.batch, d.next = d.batch[:0], 0
	real, spurious := 0, n.spurious < maxSpurious
	for _, s := range n.fds {
		if s == nil || s.loop != d {
			continue
		}
		k := s.ready()
		if k != 0 && n.hit(s.place, f.Withhold, &c.Withhold) {
			withheld = true
			continue
		}
		if k != 0 {
			real++
		}
		if k&accepting != 0 {
			d.batch = append(d.batch, event{kind: accepting, token: s.token, from: s})
		}
		if k&reading != 0 {
			d.batch = append(d.batch, event{kind: reading, token: s.token})
		}
		if k&writing != 0 {
			d.batch = append(d.batch, event{kind: writing, token: s.token})
			s.told = s.interest == 0
		}
		if spurious && (s.interest != 0 || s.end != nil) && n.hit(s.place, f.SpuriousWritable, &c.SpuriousWritable) {
			d.batch = append(d.batch, event{kind: writing, token: s.token})
		}
	}
	if spurious && d.closed[0] != 0 && n.hit(&d.place, f.Stale, &c.Stale) {
		if t := d.closed[n.rng.IntN(len(d.closed))]; t != 0 {
			d.batch = append(d.batch, event{kind: []kind{reading, writing}[n.rng.IntN(2)], token: t})
		}
	}
	if real > 0 {
		n.spurious = 0
	} else if len(d.batch) > 0 {
		n.spurious++
	}
	n.source.Seed(n.cfg.Seed, uint64(d.id)<<32|uint64(d.polls))
	n.rng.Shuffle(len(d.batch), func(i, j int) { d.batch[i], d.batch[j] = d.batch[j], d.batch[i] })
	limit := f.Batch
	if limit <= 0 {
		limit = 256
	}
	d.batch = d.batch[:min(len(d.batch), limit)]
	if n.cfg.Completion {
		d.complete()
	}
	return withheld
}

func (d *loopDriver) deliver(e event, s driver.Sink) {
	switch {
	case e.kind == accepting:
		d.deliverAccept(e, s)
	case e.kind == writing:
		d.n.note("driver %d: Writable %s", d.id, name(e.token))
		s.Writable(e.token)
	case e.token.Slot()&driver.DatagramBit != 0:
		d.n.note("driver %d: Datagrams %s", d.id, name(e.token))
		s.Datagrams(e.token)
	case d.n.cfg.Completion:
		d.deliverCompletion(e, s)
	default:
		d.deliverRead(e, s)
	}
}

// deliverAccept accepts until the sink has enough. A listener that was closed after the batch was
// collected is left alone. One that was paused still reports what had been collected, as epoll
// does.
func (d *loopDriver) deliverAccept(e event, s driver.Sink) {
	l := e.from
	for l.loop == d && l.token == e.token {
		fd, err := d.n.acceptFrom(l)
		switch {
		case err == syscall.EAGAIN:
			return
		case err != nil:
			d.n.note("driver %d: AcceptFailed %s: %v", d.id, name(e.token), err)
			s.AcceptFailed(e.token, err)
			return
		}
		d.n.note("driver %d: Accepted %s fd=%d", d.id, name(e.token), fd)
		if !s.Accepted(e.token, fd) {
			return
		}
	}
}

// Accept implements driver.Poller.
func (d *loopDriver) Accept(t driver.Token, s driver.Sink) {
	if l := d.registered(t); l != nil {
		d.deliverAccept(event{kind: accepting, token: t, from: l}, s)
	}
}

// deliverRead reads as long as the sink wants more.
func (d *loopDriver) deliverRead(e event, s driver.Sink) {
	n := d.n
	for {
		fd, buf := s.Reading(e.token)
		if fd < 0 {
			n.note("driver %d: Reading %s: not now", d.id, name(e.token))
			return
		}
		so := d.conn("Reading", fd)
		if so.token != e.token || so.loop != d {
			n.misuse("Reading(%s) returned descriptor %d, which is %s", name(e.token), fd, name(so.token))
		}
		if len(buf) == 0 {
			n.misuse("Reading(%s) returned an empty buffer", name(e.token))
		}
		k, err := n.recv(so.end, buf)
		if err == syscall.EAGAIN || !d.deliverResult(e.token, buf[:k], k == len(buf), err, s) {
			return
		}
	}
}

// deliverResult tells s what a read returned.
func (d *loopDriver) deliverResult(t driver.Token, b []byte, more bool, err error, s driver.Sink) (again bool) {
	d.n.note("driver %d: read %s: %d %v", d.id, name(t), len(b), err)
	switch {
	case err != nil:
		s.Failed(t, err)
	case len(b) == 0:
		s.ReadClosed(t)
		if d.n.cfg.Completion && d.n.hit(&d.place, d.n.cfg.Faults.Again, &d.n.counts.Again) {
			s.ReadClosed(t)
		}
	default:
		return s.Received(t, b, more)
	}
	return false
}

// complete does the reads of a batch in advance, each into the poller's own memory.
func (d *loopDriver) complete() {
	kept := d.batch[:0]
	for _, e := range d.batch {
		if e.kind == reading && e.token.Slot()&driver.DatagramBit == 0 {
			so := d.registered(e.token)
			if so == nil {
				continue // a stale event: a completion poller has none without a result
			}
			b := make([]byte, 1+d.n.die(so.place, nil).rng.IntN(4096))
			k, err := d.n.recv(so.end, b)
			if err == syscall.EAGAIN {
				continue
			}
			e.data, e.err = b[:k:k], err
		}
		kept = append(kept, e)
	}
	d.batch = kept
}

// deliverCompletion delivers one result, also to a token that has been closed or paused since.
func (d *loopDriver) deliverCompletion(e event, s driver.Sink) {
	d.deliverResult(e.token, e.data, len(e.data) == cap(e.data), e.err, s)
	for i := range e.data {
		e.data[i] = 0xdb // must not have been kept
	}
}
