package engine

import (
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/epoll"
)

var platform driver.Backend = epoll.Backend{}
