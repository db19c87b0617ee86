package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/myriadnet/myriad/engine/internal/handover"
)

// Offer waits at Path for a new process that calls Inherit, and hands everything to it. Call it on
// a goroutine of its own, one at a time, when the process serves. If this process has inherited
// itself, Offer waits for the end of that first.
//
// When a handover fails, this process goes on as before, and waits for the next one. When it has
// succeeded, Offer shuts the engine down, with Config.ShutdownTimeout for what could not move, and
// returns ErrHandedOver, as Engine.Run does then. Any other error means that nobody waits any more:
// the cause of ctx, ErrClosed if the engine ends, or one of the system, such as that the Path is in
// use. Then it may be called again. A shortage of descriptors is logged and waited for. On a loop
// it returns ErrOnLoop.
//
// End ctx only when the engine ends as well: a new process that has begun takes this one for dead,
// and both accept. Each connection has one owner all the same.
func (h *Handover) Offer(ctx context.Context, e *Engine) error {
	if err := h.check(); err != nil {
		return err
	}
	if e.OnLoop() {
		return ErrOnLoop
	}
	if e.isStopping() {
		return ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // OnShutdown would keep a function for each call
		select {
		case <-e.stopBegun:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	s, err := h.open(ctx, e)
	if err != nil {
		return err
	}
	select {
	case <-e.started: // before, no loop can take part
	case <-ctx.Done():
	}
	for {
		t, err := s.Accept(ctx)
		if handover.IsShortage(err) && ctx.Err() == nil {
			e.config.Logger.Warn("engine: cannot accept a new process for a handover yet", "error", err)
			select {
			case <-time.After(offerPause):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			s.Close(true)
			return offerError(ctx, err)
		}
		if handover.IsGone(t) { // it is not a handover that has failed
			t.Close()
			continue
		}
		if err = h.give(ctx, e, s, t); err == nil {
			break
		}
		if errors.As(err, new(*handover.BrokenError)) {
			s.Share() // with a new process that may serve, and wait for others
		}
		over := ctx.Err() != nil
		if over { // at once: the new process goes on if it finds nobody here
			s.Close(true)
		}
		p := e.Handover()
		e.config.Logger.Error("engine: a handover to another process has failed; this one goes on",
			"error", err, "moved", p.Moved, "total", p.Total)
		if over {
			return offerError(ctx, err)
		}
	}
	s.Close(false) // the successor has it
	limited, end := context.WithTimeout(context.WithoutCancel(ctx), e.config.ShutdownTimeout)
	defer end()
	if err := e.Shutdown(limited); err != nil {
		return errors.Join(ErrHandedOver, err)
	}
	return ErrHandedOver
}

// offerPause is how long Offer waits for descriptors. A new process that has connected waits
// longer.
const offerPause = 500 * time.Millisecond

func offerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("engine: handover: %w", err)
}

// open returns the socket at Path: that of the old process, or a new one.
func (h *Handover) open(ctx context.Context, e *Engine) (*handover.Socket, error) {
	e.mu.Lock()
	p := e.moves.path
	e.mu.Unlock()
	if p != nil {
		select {
		case <-p.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if p.name == h.Path {
			if s := p.socket.Swap(nil); s != nil { // it is Offer's now, which closes it
				return s, nil
			}
		}
	}
	s, err := handover.Listen(h.Path)
	if err != nil {
		return nil, fmt.Errorf("engine: handover: %w", err)
	}
	return s, nil
}

// pathNetwork is the network of the Path's own socket among the listeners.
const pathNetwork = "handover"

// give is one handover. nil means that it has succeeded.
func (h *Handover) give(ctx context.Context, e *Engine, s *handover.Socket, t handover.Waiter) error {
	g := &giving{engine: e, patience: h, progress: &e.moves.progress, stayed: make(map[string]int)}
	g.progress.begin(false)
	all, numbers, err := e.listenersToGive()
	defer func() {
		for _, ln := range all {
			for _, fd := range ln.FDs {
				e.backend.CloseFd(fd)
			}
		}
	}()
	if err != nil {
		t.Close()
		g.progress.end(err)
		return err
	}
	g.numbers = numbers
	isOurs := make(map[*Listener]bool) // not shared before
	for ln := range numbers {
		isOurs[ln] = !ln.shared.Swap(true)
	}
	links, err := h.giveLinks(e)
	if err != nil {
		t.Close()
		g.keepFiles(isOurs)
		g.progress.end(err)
		return err
	}
	path := handover.Listener{Network: pathNetwork, Address: h.Path, FDs: []int{s.FD()},
		Meta: []byte(strconv.Itoa(len(e.loops)))}
	protocol := handover.NewGiver(t, handover.GiverConfig{
		StateVersion: h.stateVersion(),
		Listeners:    slices.Concat([]handover.Listener{path}, all, links.theirs),
		Secrets:      layerKeys(numbers),
		Timeout:      h.Timeout,
		Queue:        2 * len(e.loops),
		Ready:        g.ready,
		Settled:      g.settled,
	})
	g.giver = protocol
	err = protocol.Run(ctx)
	links.sent()
	g.abort()
	g.homes.Wait()
	var broken *handover.BrokenError
	switch {
	case err == nil:
		links.complete(cmp.Or(h.Timeout, linkTimeout))
		g.close()
	case errors.As(err, &broken):
		for ln := range numbers {
			ln.rest(false, func() {})
		}
	default:
		links.end()
		g.keepFiles(isOurs)
	}
	g.progress.update(func(s *HandoverStats) { s.Stayed = g.stayed })
	g.progress.end(err)
	return err
}
