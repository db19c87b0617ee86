//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package engine

import (
	"errors"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/kqueue"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

var platform driver.Backend = kqueue.Backend{}

// duplicate is another descriptor of the same socket.
func duplicate(fd int) (int, error) { return socket.Duplicate(fd) }

func bindThread(int) error { return errors.ErrUnsupported }
func mayBind(int) error    { return errors.ErrUnsupported }
