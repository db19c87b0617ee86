package engine

import (
	"errors"
	"fmt"
	"time"
)

// Handover replaces a process by a new one without closing its connections. The new process calls
// Inherit before Engine.Run, and every process calls Offer while its engine runs:
//
//	h := &engine.Handover{Path: "/run/chat/handover", Load: load}
//	if _, err := h.Inherit(ctx, e); err != nil {
//		return err
//	}
//	// e.Listen as always: an inherited socket is used instead of a new one
//	go func() { log.Print(h.Offer(ctx, e)) }()
//	err := e.Run(ctx) // ErrHandedOver when a successor has taken over
//
// Listening sockets move first, with their backlogs, then the connections that can: those whose
// Protocol is a Saver. At every moment exactly one of the processes owns a connection, whichever of
// them dies. What cannot move is closed as by Shutdown. docs/handover.md tells what moves, and what
// happens when something fails.
//
// The two processes must have the same user, and use the same Path. Handover is for Linux. The
// fields must not change after the first call.
type Handover struct {
	// Path is the unix socket at which a process waits for its successor. Its mode is 0600, and
	// whoever connects must have the same user. It should be in a directory that nobody else can
	// write to. Required.
	Path string
	// Load makes the Protocols of the connections that arrive. Default: only listeners move to this
	// process.
	Load Loader
	// Layer takes over the state of connections with a layer: that of ListenConfig.Layer, such as
	// tlslayer.Layer.Server. Default: connections with a layer do not move to this process.
	Layer Layer
	// Version is the format of what the Savers write. To a process with another Version only
	// listeners move, and what Links bring.
	Version uint16
	// Timeout limits how long the other process may make no progress. Then a handover fails, and
	// each process goes on with what it owns. From Inherit to Run a new process may take a minute.
	// Default: 10 s.
	Timeout time.Duration
	// Patience is how long the old process waits for connections that cannot move yet: those in a
	// handshake, or closing, or with a timer, or whose Save fails. They are served meanwhile.
	// Default: 1 s; negative: none.
	Patience time.Duration
	// Links bring what the program keeps beside its connections, by their names: see Link.
	// Optional.
	Links map[string]Link
}

// Saver is implemented by a Protocol that can move to another process: see Handover.
type Saver interface {
	// Save appends the Protocol's state to dst and returns that. It is called on the loop, between
	// two calls of the Protocol. What was not consumed, what was written and not sent, the
	// timeouts, watermarks and the like move by themselves.
	//
	// If the connection has moved, Closed is called with ErrHandedOver. If not, the Protocol goes
	// on as if nothing had been. The error says why the connection cannot move now. Save may be
	// called again.
	Save(c *Conn, dst []byte) ([]byte, error)
}

// Loader makes the Protocol of a connection that arrives from another process. It takes the place
// of the accept function: it is called on the loop, before anything is read. state is what Save has
// written; it is valid until the Loader returns. An error closes the connection in order, as
// Conn.Close does, and is logged by Config.Logger, once per second and loop at most.
type Loader func(c *Conn, state []byte) (Protocol, error)

// handoverFormat is the format of what the engine itself writes: see moved.
const handoverFormat = 1

// stateVersion tells what this process can read, or writes. 0 is nothing.
func (h *Handover) stateVersion() uint32 { return handoverFormat<<16 | uint32(h.Version) }

// defaultPatience is that of Handover.Patience.
const defaultPatience = time.Second

func (h *Handover) patience() time.Duration {
	if h.Patience == 0 {
		return defaultPatience
	}
	return max(h.Patience, 0)
}

func (h *Handover) check() error {
	if h.Path == "" {
		return errors.New("engine: handover: Path is empty")
	}
	if !movable {
		return fmt.Errorf("engine: handover: %w", errors.ErrUnsupported)
	}
	return nil
}
