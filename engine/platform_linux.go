package engine

import (
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/epoll"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

var platform driver.Backend = epoll.Backend{}

// duplicate is another descriptor of the same socket.
func duplicate(fd int) (int, error) { return socket.Duplicate(fd) }
