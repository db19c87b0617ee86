package engine

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine/internal/paged"
)

// Inspection is the result of Engine.Inspect.
type Inspection struct {
	Period time.Duration // for which traffic was counted
	Loops  []LoopInspection

	Handover HandoverStats // the progress of the last handover
}

// LoopInspection is one loop and its busiest connections.
type LoopInspection struct {
	LoopStats
	Busiest []ConnInspection // by bytes read and written, most first
}

// ConnInspection describes one connection.
type ConnInspection struct {
	Local, Remote netip.AddrPort
	Protocol      string // its type
	Layer         string // such as "TLS 1.3, TLS_AES_128_GCM_SHA256", or "handshake"; "": none
	State         string // open, closing, connecting, paused, throttled, half-closed or closed
	Read, Written uint64 // bytes in the period
	Inbound       int    // bytes that the Protocol has not consumed
	Outbound      int    // bytes that the kernel has not taken
}

// traffic is what a connection has moved while Inspect is running.
type traffic struct {
	gen     uint32
	in, out uint64
}

// Inspect returns the connections that move the most bytes during period, up to top for each loop.
// Only during that time are connections counted individually; otherwise this costs one comparison
// per read and write. A second call waits for the first. Before Run it returns at once. The error
// is ErrClosed, the cause of ctx, or ErrOnLoop on a loop. Inspect may be called from any other
// goroutine.
func (e *Engine) Inspect(ctx context.Context, period time.Duration, top int) (Inspection, error) {
	if e.OnLoop() {
		return Inspection{}, ErrOnLoop
	}
	select {
	case e.inspecting <- struct{}{}:
		defer func() { <-e.inspecting }()
	case <-ctx.Done():
		return Inspection{}, context.Cause(ctx)
	}
	if s, ok := e.statsBeforeRun(); ok { // no traffic to count
		found := Inspection{Loops: make([]LoopInspection, len(s.Loops))}
		for i := range s.Loops {
			found.Loops[i].LoopStats = s.Loops[i]
		}
		return found, nil
	}
	for _, l := range e.loops {
		l.do(func() { l.traffic = new(paged.Array[traffic]) })
	}
	timer := time.NewTimer(period)
	defer timer.Stop()
	var err error
	select {
	case <-timer.C:
	case <-e.turned:
		return Inspection{}, ErrClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	seen := make([]chan struct{}, len(e.loops))
	found := Inspection{Period: period, Loops: make([]LoopInspection, len(e.loops))}
	for i, l := range e.loops {
		seen[i] = make(chan struct{})
		l.do(func() { // an error means that the loop has ended, or is about to
			found.Loops[i] = LoopInspection{l.snapshot(), l.busiest(top)}
			l.traffic = nil
			close(seen[i])
		})
	}
	if err != nil {
		return Inspection{}, err
	}
	for i, l := range e.loops {
		select {
		case <-seen[i]:
		case <-l.over: // nothing changes the counters any more
			found.Loops[i] = LoopInspection{LoopStats: l.snapshot()}
		case <-ctx.Done():
			return Inspection{}, context.Cause(ctx)
		}
	}
	found.Handover = e.Handover()
	return found, nil
}

// countTraffic counts for Inspect.
func (l *loop) countTraffic(c *Conn, in, out int) {
	for l.traffic.Len() <= c.slot {
		l.traffic.Grow()
	}
	t := l.traffic.At(c.slot)
	if t.gen != c.gen { // the slot belonged to another connection
		*t = traffic{gen: c.gen}
	}
	t.in += uint64(in)
	t.out += uint64(out)
}

// seen is a connection that has moved something while Inspect is running.
type seen struct {
	slot uint32
	*traffic
}

func (t *traffic) sum() uint64 { return t.in + t.out }

// busiestSeen returns up to top connections with the most traffic, most first. Hundreds of
// thousands may have some: to sort them all would hold up the loop.
func (l *loop) busiestSeen(top int) (most []seen) {
	top = min(top, int(l.traffic.Len())) // twice as many is a number
	if top <= 0 {
		return nil
	}
	cut := func() {
		slices.SortFunc(most, func(a, b seen) int { return cmp.Compare(b.sum(), a.sum()) })
		most = most[:min(len(most), top)]
	}
	least := uint64(0) // what one must have to be among them
	for slot := range l.traffic.Len() {
		t := l.traffic.At(slot)
		if t.sum() < least || l.conns.Get(slot, t.gen) == nil {
			continue
		}
		if most = append(most, seen{slot, t}); len(most) > 2*top+64 {
			cut()
			least = most[top-1].sum() + 1
		}
	}
	cut()
	return most
}

func (l *loop) busiest(top int) []ConnInspection {
	all := l.busiestSeen(top)
	infos := make([]ConnInspection, 0, len(all))
	for _, s := range all {
		c := l.conns.Get(s.slot, s.gen)
		info := ConnInspection{
			Local: c.LocalAddr(), Remote: c.RemoteAddr(), Protocol: fmt.Sprintf("%T", c.proto), State: c.describe(),
			Layer: c.describeLayer(), Read: s.in, Written: s.out, Outbound: c.out.Len(),
		}
		if c.in != nil {
			info.Inbound = c.in.Len()
		}
		infos = append(infos, info)
	}
	return infos
}

// describe returns the connection's state as text.
func (c *Conn) describe() string {
	switch {
	case c.state == frozen:
		return "moving"
	case c.state >= ended:
		return "closed"
	case c.state == closing:
		return "closing"
	case c.flags&connecting != 0:
		return "connecting"
	case c.flags&paused != 0:
		return "paused"
	case c.flags&throttled != 0:
		return "throttled"
	case c.flags&(readClosed|writeClosed) != 0:
		return "half-closed"
	}
	return "open"
}

// describeLayer returns what the connection's layer is, as text.
func (c *Conn) describeLayer() string {
	if c.flags&layered != 0 {
		return c.loop.layers.all.At(c.slot).stream.String()
	}
	if _, ok := c.proto.(*securing); ok {
		return "handshake"
	}
	return ""
}
