package engine_test

import (
	"errors"
	"slices"

	"github.com/myriadnet/myriad/engine"
)

// causeOf is the cause that must be counted for what Closed got.
func causeOf(reason error) engine.Cause {
	var unsent *engine.UnsentError
	if errors.As(reason, &unsent) {
		reason = unsent.Reason
	}
	var boom *engine.PanicError
	switch {
	case reason == nil:
		return engine.CauseClose
	case errors.As(reason, &boom):
		return engine.CausePanic
	}
	causes := []struct {
		cause engine.Cause
		of    []error
	}{
		{engine.CausePeer, []error{engine.ErrPeerClosed}}, {engine.CauseReset, []error{engine.ErrReset}},
		{engine.CauseAbort, []error{engine.ErrAborted}},
		{engine.CauseTimeout, []error{engine.ErrIdleTimeout, engine.ErrTimeout}},
		{engine.CauseLinger, []error{engine.ErrLinger}},
		{engine.CauseStall, []error{engine.ErrWriteStall, engine.ErrSlow}},
		{engine.CauseLimit, []error{engine.ErrInboundLimit, engine.ErrOutboundLimit, engine.ErrBufferLimit}},
		{engine.CauseRefused, []error{engine.ErrRefused}}, {engine.CauseShutdown, []error{engine.ErrShutdown}},
		{engine.CauseRelease, []error{engine.ErrReleased}},
	}
	for _, k := range causes {
		if slices.ContainsFunc(k.of, func(err error) bool { return errors.Is(reason, err) }) {
			return k.cause
		}
	}
	return engine.CauseProtocol
}

// counters compares Stats with what was seen.
func (w *world) counters() {
	s := w.eng.StatsNow()
	var heard, came, closed, told uint64
	for _, v := range w.visitors {
		heard += uint64(v.in.bytes)
		came += uint64(v.sent)
	}
	for cause, n := range s.Closed {
		if closed += n; n < w.closed[cause] {
			w.failf("%d connections were closed because of %v, %d Protocols were told so", n, engine.Cause(cause),
				w.closed[cause])
		}
		told += w.closed[cause]
	}
	without := uint64(0) // a Protocol that could be told
	for _, sp := range w.speakers {
		if sp.now == nil {
			without++
		}
		if sp.opened != sp.observed {
			w.failf("%s: Observer.Opened was called: %t, Observer.Closed: %t", sp.name, sp.opened, sp.observed)
		}
	}
	if closed-s.Closed[engine.CauseDial] != told+without {
		w.failf("%d connections were closed, %d Protocols were told, and %d had none",
			closed-s.Closed[engine.CauseDial], told, without)
	}
	for what, n := range map[string][2]uint64{
		"panics": {s.Panics, w.panics}, "accepted": {s.Accepted, w.accepts}, "dialled": {s.Dialed, w.dialled},
		"messages": {s.Messages, w.yields}, "packets in": {s.PacketsReceived, w.packets.came + s.RefusedSessions},
		"packets out": {s.PacketsSent, w.packets.out}, "connections": {uint64(s.Connections), 0},
		"sessions": {uint64(s.Sessions), 0},
	} {
		if n[0] != n[1] {
			w.failf("the counter says %d %s, want %d", n[0], what, n[1])
		}
	}
	if dropped := s.Slow[engine.SlowDropNewest] + s.Dropped; w.unheard > dropped {
		w.failf("%d messages did not arrive, %d were dropped", w.unheard, dropped)
	}
	if heard+w.packets.outBytes > s.BytesWritten || s.BytesRead > came+w.packets.inBytes {
		w.failf("%d bytes were written, %d came; %d were read, %d were sent", s.BytesWritten, heard, s.BytesRead, came)
	}
}

// refuses asks an engine that has ended for everything.
func (w *world) refuses() {
	for what, err := range map[string]error{
		"Post": w.eng.Post(0, func() {}),
		"Dial": w.eng.Dial(w.ctx, "tcp", "192.0.2.7:1", engine.DialConfig{},
			func(*engine.Conn, error) engine.Protocol { return nil }),
		"Listen": func() error {
			_, err := w.eng.Listen("tcp", "127.0.0.1:0", w.accept)
			return errors.Unwrap(err)
		}(),
		"ListenPacket": func() error { _, err := w.eng.ListenPacket("udp", "127.0.0.1:0", echoPackets); return err }(),
	} {
		if err != engine.ErrClosed {
			w.failf("%s after the end: %v", what, err)
		}
	}
	w.packets.refuses(w)
	w.ask()
}
