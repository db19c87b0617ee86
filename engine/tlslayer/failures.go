package tlslayer

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// failures logs why handshakes with clients fail. Nobody else is told: such a connection has no
// Protocol. Everybody can make handshakes fail, so each kind has a rate of its own.
type failures struct {
	mu    sync.Mutex
	kinds [failureKinds]struct {
		next     time.Time
		unlogged int
	}
}

type failureKind uint8

const (
	failed   failureKind = iota // what the operator may have to mend
	noise                       // port scanners, and peers that leave or say nothing
	panicked                    // a callback of the tls.Config
	failureKinds
)

// failureEvery is the least time between two messages of a kind.
var failureEvery = [failureKinds]time.Duration{10 * time.Second, 10 * time.Second, time.Second}

// kindOf returns the kind of an error of a handshake. It may be one of a callback of the user's,
// whose methods may panic.
func kindOf(err error) (k failureKind) {
	defer func() { recover() }()
	var garbage tls.RecordHeaderError
	switch {
	case errors.As(err, new(*engine.PanicError)):
		return panicked
	case errors.As(err, &garbage), errors.Is(err, io.EOF), errors.Is(err, ErrTimeout):
		return noise
	}
	for _, gone := range []error{engine.ErrPeerClosed, engine.ErrReset, engine.ErrTimeout, engine.ErrShutdown,
		engine.ErrClosed, engine.ErrAborted} {
		if errors.Is(err, gone) {
			return noise
		}
	}
	return failed
}

// due counts a failure, and reports whether it is to be logged, and how many were not since the
// last one that was.
func (f *failures) due(k failureKind, now time.Time) (unlogged int, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	of := &f.kinds[k]
	if now.Before(of.next) {
		of.unlogged++
		return 0, false
	}
	unlogged, of.unlogged = of.unlogged, 0
	of.next = now.Add(failureEvery[k])
	return unlogged, true
}

// logFailure logs that h has failed. It is called once for each handshake, without its lock. Those
// with servers are told to the function done of Dial, except for panics. A panic of the Logger is
// lost, as one of an engine's is.
func (h *handshake) logFailure(err error) {
	k := kindOf(err)
	if h.keys.client && k != panicked {
		return
	}
	defer func() { recover() }()
	log := h.layer.config.Logger
	level := [failureKinds]slog.Level{slog.LevelWarn, slog.LevelDebug, slog.LevelError}[k]
	if !log.Enabled(context.Background(), level) {
		return
	}
	unlogged, ok := h.layer.failures.due(k, time.Now())
	if !ok {
		return
	}
	attrs := []any{"remote", h.wire.remote, "server_name", h.serverName, "error", err, "unlogged", unlogged}
	var p *engine.PanicError
	if errors.As(err, &p) {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	log.Log(context.Background(), level, "tlslayer: handshake failed", attrs...)
}
