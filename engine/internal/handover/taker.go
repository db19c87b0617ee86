package handover

import (
	"context"
	"time"
)

// TakerConfig is how a Taker takes, and whom it tells. The functions are called by the goroutine of
// Run, and must not block.
type TakerConfig struct {
	// StateVersion is the format of Item.State. From a giver with another one only listeners come.
	StateVersion uint32

	Timeout time.Duration // how long the giver may make no progress; 0: DefaultTimeout

	// Accept is called when the taker owns the listeners, so it accepts now. It is called before
	// any Prepare. nil: nothing.
	Accept func()

	// Prepare is called with each batch that arrives. The receiver makes its connections from it,
	// frozen: nothing is read, written or registered. Then it calls Incoming.Acknowledge, now or
	// later, from any goroutine.
	Prepare func(*Incoming)

	// Own is called when the giver knows of the acknowledgement. The descriptors of the items that
	// were not refused are the receiver's now, and may be registered. Those of refused ones are
	// closed.
	Own func(b *Incoming, refused Set)

	// Drop is called instead of Own when the giver keeps the batch. The package has closed the
	// descriptors, without shutdown(2): forget the connections. After the end of Run it is called by
	// Acknowledge.
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
	config TakerConfig
}

// NewTaker returns a Taker on t, which it closes in the end.
func NewTaker(t Transport, config TakerConfig) *Taker {
	return &Taker{config: config}
}

// Listeners waits for what the giver sends before READY. t must be a Waiter. Then the caller opens
// its listeners with the descriptors, does not yet accept, and calls Run or Refuse. After an error
// the Taker is at its end, and no descriptor is left: ErrTimeout, ErrClosed, ErrVersion,
// ErrMalformed, a *RefusedError, or the cause of ctx. The process may still bind its own listeners.
func (t *Taker) Listeners(ctx context.Context) (*Inherited, error) { return nil, nil }

// Run says READY, then takes batches until the giver is done, ctx is done, or the handover breaks.
// It calls each function of TakerConfig as described there. Listeners must have returned.
//
// nil means that nothing is left at the giver that could move. A *BrokenError means that the giver
// keeps the rest: the taker owns what Own was called for, and goes on. With any other error Accept
// was not called: the giver goes on, and the caller closes its copies of the listeners.
func (t *Taker) Run(ctx context.Context) error { return nil }

// Refuse tells the giver that it should go on, and ends the Taker. Call it instead of Run. The
// caller closes its copies of the listeners. It waits for at most a second for a giver that does
// not read.
func (t *Taker) Refuse(reason string) {}

// Acknowledge accepts the batch, except the items in refused, which are given back. Own or Drop
// follows. It must be called once for each Prepare, also after Run has returned: the descriptors
// stay open until then. It does not block, and may be called from any goroutine.
func (b *Incoming) Acknowledge(refused Set) {}
