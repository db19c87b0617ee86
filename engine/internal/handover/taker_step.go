package handover

import "time"

// maxListeners is how many frames with listeners a taker takes.
const maxListeners = 4096

// step does all that can be done now.
func (t *Taker) step(now time.Time) plan {
	if t.state == gone || t.state == deciding {
		return plan{over: true}
	}
	if !t.begun {
		t.begun = true
		t.stream.out.push(message{head: appendHello(nil, t.config.StateVersion)})
	}
	if t.stream.moved.IsZero() { // the giver's time begins
		t.stream.moved, t.stream.stuck = now, now
	}
	if err := t.stream.receive(now, t.handle); err != nil {
		return t.fail(err)
	}
	if t.state == deciding {
		return plan{over: true}
	}
	t.collect()
	heard := t.stream.moved
	if _, err := t.stream.send(now); err != nil {
		return t.fail(err)
	}
	t.stream.moved = heard // only what the giver sends counts
	if t.state == gone {
		return plan{over: true}
	}
	deadline := heard.Add(t.config.Timeout)
	if !t.stream.out.empty() {
		deadline = earlier(deadline, t.stream.stuck.Add(t.config.Timeout))
	}
	if !now.Before(deadline) {
		return t.fail(ErrTimeout)
	}
	return t.stream.plan(now, deadline)
}

// handOut gives what has come to the caller of Listeners.
func (t *Taker) handOut() (*Inherited, error) {
	if t.state == gone {
		return nil, t.err
	}
	in := t.inherited
	in.ListenersOnly = t.only
	t.inherited = Inherited{}
	return &in, nil
}

// sayReady queues READY.
func (t *Taker) sayReady() {
	t.state, t.stream.moved = readying, time.Time{}
	t.stream.out.push(message{head: appendHeader(nil, ready, 0, 0), sent: func() {
		t.state = taking
		if t.config.Accept != nil {
			t.config.Accept()
		}
	}})
}

// sayRefused queues REFUSED, behind which nothing comes.
func (t *Taker) sayRefused(reason string) {
	t.state, t.stream.moved = refusing, time.Time{}
	reason = reason[:min(len(reason), maxReason)]
	head := append(appendHeader(nil, refused, 0, len(reason)), reason...)
	t.stream.out.push(message{head: head, sent: func() { t.end(nil) }})
}

// handle does what a frame says.
func (t *Taker) handle(f frame) error {
	switch {
	case f.kind == hello && t.state == meeting:
		version, err := parseHello(f.payload)
		if err != nil {
			return err
		}
		t.state, t.only = listening, version != t.config.StateVersion
		return nil
	case f.kind == listener && t.state == listening:
		return t.inherit(f)
	case f.kind == listed && t.state == listening && !t.more:
		t.state, t.inherited.Secrets = deciding, f.payload
		return nil
	case f.kind == batch && t.state == taking && !t.only && t.waiting < MaxQueue:
		return t.prepare(f)
	case f.kind == done && t.state == taking && t.waiting == 0:
		t.state = leaving
		t.stream.out.push(message{head: appendHeader(nil, bye, 0, 0), sent: func() { t.end(nil) }})
		return nil
	case f.kind == pulse && (t.state == taking || t.state == leaving):
		return nil
	}
	closeAll(t.stream.t, f.fds)
	return malformed("a frame of kind %d from the giver, in state %d", f.kind, t.state)
}

// inherit adds a listener, or further descriptors of the last one.
func (t *Taker) inherit(f frame) error {
	l, more, err := parseListener(f)
	if err == nil && t.frames == maxListeners {
		err = malformed("too many listeners")
	}
	all := t.inherited.Listeners
	last := len(all) - 1
	if err == nil && t.more && (all[last].Network != l.Network || all[last].Address != l.Address) {
		err = malformed("descriptors of %s %s within %s %s", l.Network, l.Address, all[last].Network, all[last].Address)
	}
	if err != nil {
		closeAll(t.stream.t, f.fds)
		return err
	}
	if t.more {
		all[last].FDs = append(all[last].FDs, l.FDs...)
	} else {
		t.inherited.Listeners = append(all, l)
	}
	t.more = more
	t.frames++
	return nil
}

// prepare hands a batch to the receiver.
func (t *Taker) prepare(f frame) error {
	b, err := parseBatch(f)
	if err != nil {
		closeAll(t.stream.t, f.fds)
		clear(f.payload)
		return err
	}
	b.taker = t
	t.waiting++
	t.config.Prepare(b)
	return nil
}

// collect queues the acknowledgements of batches that are prepared.
func (t *Taker) collect() {
	t.mu.Lock()
	answered := t.answered
	t.answered = nil
	t.mu.Unlock()
	for _, b := range answered {
		var taken Set
		for i := range b.Items {
			if !b.refused.Has(i) {
				taken.Add(i)
			}
		}
		t.acking = append(t.acking, b)
		t.stream.out.push(message{head: appendAck(nil, b.id, taken), sent: t.acked})
	}
}

// acked gives the oldest batch on its way to the receiver: its whole acknowledgement is in the
// giver's queue.
func (t *Taker) acked() {
	b := t.acking[0]
	t.acking = t.acking[1:]
	t.waiting--
	for i, it := range b.Items {
		if b.refused.Has(i) {
			t.stream.t.CloseDescriptor(it.FD)
		}
	}
	t.config.Own(b, b.refused)
}

// drop closes the descriptors of a batch that the giver keeps.
func (t *Taker) drop(b *Incoming) {
	for _, it := range b.Items {
		t.stream.t.CloseDescriptor(it.FD)
	}
	t.config.Drop(b)
	clear(b.payload)
}

// fail ends the handover. What is not acknowledged is the giver's.
func (t *Taker) fail(err error) plan {
	if t.state != gone {
		t.stream.t.Shutdown()
		t.end(err)
	}
	return plan{over: true}
}

// end closes the stream, and what the receiver has not got yet.
func (t *Taker) end(err error) {
	t.err = err
	if err != nil && (t.state == taking || t.state == leaving) {
		t.err = &BrokenError{Err: err}
	}
	t.state = gone
	t.mu.Lock()
	t.over, t.spare = true, nil
	rest := append(t.acking, t.answered...)
	t.acking, t.answered = nil, nil
	t.mu.Unlock()
	t.stream.close()
	for _, l := range t.inherited.Listeners {
		closeAll(t.stream.t, l.FDs)
	}
	clear(t.inherited.Secrets)
	t.inherited = Inherited{}
	for _, b := range rest {
		t.drop(b)
	}
}
