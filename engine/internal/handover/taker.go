package handover

import (
	"context"
	"slices"
	"sync"
	"time"
)

// TakerConfig is how a Taker takes, and whom it tells. The functions are called by the goroutine of
// Run, and must not block. Prepare, Own and Drop must be set if the giver can have batches.
type TakerConfig struct {
	// StateVersion is the format of Item.State. From a giver with another one only listeners come.
	StateVersion uint32

	// Timeout is how long the giver may make no progress; 0: DefaultTimeout. A giver that is alive
	// sends something every second, so it should not be less than a few seconds.
	Timeout time.Duration

	// Accept is called when the taker owns the listeners, so it accepts now. It is called before
	// any Prepare. nil: nothing.
	Accept func()

	// Prepare is called with each batch that arrives. The receiver makes its connections from it,
	// frozen: nothing is read, written or registered. Then it calls Incoming.Acknowledge, now or
	// later, from any goroutine.
	Prepare func(*Incoming)

	// Own is called when the giver knows of the acknowledgement. The descriptors of the items that
	// were not refused are the receiver's now, and may be registered. Those of refused ones are
	// closed. When the receiver has read the states, it calls Incoming.Release, now or later, from
	// any goroutine.
	Own func(b *Incoming, refused Set)

	// Drop is called instead of Own when the giver keeps the batch. The package has closed the
	// descriptors, without shutdown(2): forget the connections. After the end of Run it is called
	// by Acknowledge.
	Drop func(*Incoming)
}

// Inherited is what comes before READY. The descriptors are the caller's.
type Inherited struct {
	Listeners     []Listener
	Secrets       []byte // the caller wipes them
	ListenersOnly bool   // the giver has another StateVersion: no batch will come
}

// Taker is the new process's side of one handover.
type Taker struct {
	config    TakerConfig
	stream    stream
	state     takerState
	begun     bool // the first step is done
	only      bool // only listeners can move
	inherited Inherited
	frames    int         // with listeners
	more      bool        // descriptors of the last listener follow
	waiting   int         // batches that came, and are not owned
	acking    []*Incoming // whose acknowledgement is being sent, in order
	err       error       // of the end

	mu       sync.Mutex
	over     bool        // nobody will look at answered
	answered []*Incoming // acknowledged, and not yet on their way
	spare    [][]byte    // wiped, for the next payloads, since new memory is slow
}

type takerState uint8

const (
	meeting   takerState = iota // waits for HELLO
	listening                   // receives listeners
	deciding                    // the caller opens its listeners
	readying                    // sends READY
	taking                      // receives batches
	leaving                     // sends BYE
	refusing                    // sends REFUSED
	gone
)

// NewTaker returns a Taker on t, which it closes in the end.
func NewTaker(t Transport, config TakerConfig) *Taker {
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	k := &Taker{config: config}
	k.stream.t = t
	k.stream.in.memory = k.memory
	return k
}

// Listeners waits for what the giver sends before READY. The Taker's Transport must be a Waiter.
// Then the caller opens its listeners with the descriptors, does not yet accept, and calls Run or
// Refuse. After an error the Taker is at its end, and no descriptor is left: ErrTimeout, ErrClosed,
// ErrVersion, ErrMalformed, or the cause of ctx. Nothing has changed for the giver then.
func (t *Taker) Listeners(ctx context.Context) (*Inherited, error) {
	run(ctx, t.stream.t.(Waiter), t.step, t.fail)
	return t.handOut()
}

// Run says READY, then takes batches until the giver is done, ctx is done, or the handover breaks.
// It calls the functions of TakerConfig. Listeners must have returned without an error.
//
// nil means that nothing is left at the giver that could move. A *BrokenError means that the giver
// keeps the rest: the taker owns what Own was called for, and goes on. With any other error Accept
// was not called: the giver goes on, and the caller closes its copies of the listeners.
func (t *Taker) Run(ctx context.Context) error {
	t.sayReady()
	run(ctx, t.stream.t.(Waiter), t.step, t.fail)
	return t.err
}

// Refuse tells the giver that it should go on, and ends the Taker. Call it instead of Run. It waits
// for at most a second for a giver that does not read. The reason is cut after 1 KiB. The caller
// closes its copies of the listeners.
func (t *Taker) Refuse(reason string) {
	t.sayRefused(reason)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	run(ctx, t.stream.t.(Waiter), t.step, t.fail)
}

// Release wipes the states, and ends their use. It must be called once after Own.
func (b *Incoming) Release() {
	p := b.payload
	clear(p)
	b.payload, b.Items = nil, nil
	if b.taker != nil { // else no Taker has made it
		b.taker.keep(p[:0])
	}
}

// maxSpare is how many payloads are kept for those that follow.
const maxSpare = 4

// keep keeps memory for payloads.
func (t *Taker) keep(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.spare) == maxSpare {
		t.spare = slices.Delete(t.spare, 0, 1)
	}
	if !t.over && cap(p) <= firstPayload {
		t.spare = append(t.spare, p)
	}
}

// memory returns memory for a payload of n bytes, nil if none is kept.
func (t *Taker) memory(n int) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.IndexFunc(t.spare, func(p []byte) bool { return cap(p) >= n })
	if i < 0 {
		return nil
	}
	p := t.spare[i]
	t.spare = slices.Delete(t.spare, i, i+1)
	return p
}

// Acknowledge accepts the batch, except the items in refused, which are given back. Own or Drop
// follows. It must be called once for each Prepare, also after Run has returned: the descriptors
// stay open until then. It does not block, and may be called from any goroutine.
func (b *Incoming) Acknowledge(refused Set) {
	t := b.taker
	t.mu.Lock()
	b.refused = refused
	over := t.over
	if !over {
		t.answered = append(t.answered, b)
		wake(t.stream.t)
	}
	t.mu.Unlock()
	if over {
		t.drop(b)
	}
}
