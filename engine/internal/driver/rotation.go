package driver

// Rotation is the order in which a Poller delivers a batch of events: one after the other, but
// every batch begins elsewhere. A Sink may serve only some events of a turn, and kernels report
// descriptors that stay ready in the same order. So without it, a few of the first could keep all
// others from ever being served. The zero Rotation is an empty batch.
type Rotation struct {
	size  int    // of the batch
	next  int    // the index of the next event
	left  int    // events that are not delivered yet
	begin uint32 // where the next batch begins, as a part of 2^32
}

// Begin begins a batch of n events.
func (r *Rotation) Begin(n int) {
	r.size, r.left = n, n
	r.next = int(uint64(r.begin) * uint64(n) >> 32)
	// In steps of the golden ratio the beginnings are spread evenly, whatever the sizes are.
	r.begin += 0x9e3779b9
}

// Left returns how many events of the batch are not delivered yet.
func (r *Rotation) Left() int { return r.left }

// Next returns the index of the next event, which counts as delivered: a Sink may panic. Left must
// not be 0.
func (r *Rotation) Next() int {
	i := r.next
	r.left--
	if r.next++; r.next == r.size {
		r.next = 0
	}
	return i
}
