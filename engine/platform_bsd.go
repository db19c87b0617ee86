//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package engine

import (
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/kqueue"
)

var platform driver.Backend = kqueue.Backend{}
