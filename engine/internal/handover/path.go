package handover

import (
	"context"
	"errors"
)

var (
	// ErrNobody is what Dial returns when no process offers at the path.
	ErrNobody = errors.New("handover: nobody offers at this path")

	// ErrInUse is what Listen returns when another process offers at the path, or when the file
	// there is not a socket.
	ErrInUse = errors.New("handover: the path is in use")

	// ErrPeer means that the other process has another user.
	ErrPeer = errors.New("handover: the other process has another user")
)

// Socket is a unix socket that waits for takers.
type Socket struct{ path string }

// Listen opens a unix socket at path. Only this user can connect, at any moment: its mode is 0600.
// A socket that nobody answers at is replaced.
func Listen(path string) (*Socket, error) { return nil, errors.ErrUnsupported }

// Inherit returns a Socket for one that came as a Listener, see Socket.FD. It is the owner of fd,
// also after an error.
func Inherit(path string, fd int) (*Socket, error) { return nil, errors.ErrUnsupported }

// FD returns the descriptor of the listening socket, so that it can be one of the Listeners. Then a
// successor that offers in turn has it from the beginning, and no connect is refused in between.
// The Socket stays its owner.
func (s *Socket) FD() int { return -1 }

// Accept waits for a taker of the same user. Others are dropped. It must not be called by two
// goroutines at a time. The error is the cause of ctx, or of the system.
func (s *Socket) Accept(ctx context.Context) (Waiter, error) { return nil, nil }

// Close closes the socket. If remove is set and the file at the path is still this socket's, it is
// removed; leave it to a successor that has inherited it.
func (s *Socket) Close(remove bool) error { return nil }

// Dial connects to the process that offers at path. The error is ErrNobody, ErrPeer, the cause of
// ctx, or of the system.
func Dial(ctx context.Context, path string) (Waiter, error) { return nil, errors.ErrUnsupported }
