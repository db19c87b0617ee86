//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package handover

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

var errSystem = fmt.Errorf("handover: not on %s: %w", runtime.GOOS, errors.ErrUnsupported)

// Socket is a unix socket that waits for takers.
type Socket struct{}

// Listen returns an error that wraps errors.ErrUnsupported.
func Listen(string) (*Socket, error) { return nil, errSystem }

// Inherit returns an error that wraps errors.ErrUnsupported.
func Inherit(string, int) (*Socket, error) { return nil, errSystem }

// Dial returns an error that wraps errors.ErrUnsupported.
func Dial(context.Context, string) (Waiter, error) { return nil, errSystem }

// IsShortage reports false.
func IsShortage(error) bool { return false }

// IsGone reports false.
func IsGone(Waiter) bool { return false }

// Share does nothing.
func (s *Socket) Share() {}

// FD returns -1.
func (s *Socket) FD() int { return -1 }

// Accept returns an error that wraps errors.ErrUnsupported.
func (s *Socket) Accept(context.Context) (Waiter, error) { return nil, errSystem }

// Close does nothing.
func (s *Socket) Close(bool) error { return nil }
