package handover

import (
	"context"
	"time"
)

// DefaultTimeout and DefaultPatience are what a zero Timeout and Patience mean.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultPatience = time.Minute
)

// GiverConfig is what a Giver gives, and whom it tells. The functions are called by the goroutine
// of Run. They must not block, and may call Post and Finish.
type GiverConfig struct {
	// StateVersion is the format of Item.State. To a taker with another one only listeners move.
	StateVersion uint32

	// Listeners are copied to the taker. Their descriptors must stay open until Run returns.
	Listeners []Listener

	// Secrets go to the taker with the listeners, such as the keys of TLS session tickets: at most
	// MaxSecrets bytes. Run wipes them when they are sent, or when it returns.
	Secrets []byte

	Timeout  time.Duration // how long the taker may make no progress; 0: DefaultTimeout
	Patience time.Duration // how long the taker may take from its HELLO to READY; 0: DefaultPatience
	Queue    int           // how many batches may be posted and not settled; 0: 64

	// Ready is called when the taker accepts connections: the giver stops accepting, keeps its
	// listeners open, and begins to post. If listenersOnly is set, the taker cannot read the states:
	// Post returns ErrOver. nil: nothing.
	Ready func(listenersOnly bool)

	// Settled is called once for each batch that Post accepted: see Batch.Taken. nil: nothing.
	Settled func(*Batch)
}

// Giver is the old process's side of one handover.
type Giver struct {
	config GiverConfig
}

// NewGiver returns a Giver on t, which it closes in the end.
func NewGiver(t Transport, config GiverConfig) *Giver {
	return &Giver{config: config}
}

// Run runs the handover until its end, or until ctx is done. t must be a Waiter. Each batch is
// settled when it returns.
//
// nil means that the taker has everything that it is going to get: the caller closes its listeners.
// A *BrokenError means that the taker was ready and may be serving; the caller accepts again. With
// any other error nothing has changed for the giver: ErrTimeout, ErrClosed, ErrVersion, ErrMalformed
// or a *RefusedError or the cause of ctx.
func (g *Giver) Run(ctx context.Context) error { return nil }

// Post gives a batch to the taker, after those posted before. It does not block, and may be called
// from any goroutine, first by Ready. On an error the batch is still the caller's, and Settled is
// not called: ErrFull, ErrTooLarge, or ErrOver before Ready, after Finish and after the end.
func (g *Giver) Post(b *Batch) error { return nil }

// Finish says that no further batch will be posted. The handover ends when those posted before are
// settled. It may be called from any goroutine, after Ready. A second call does nothing.
func (g *Giver) Finish() {}
