//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package kqueue_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/drivertest"
	"github.com/myriadnet/myriad/engine/internal/driver/kqueue"
)

func TestContract(t *testing.T) {
	drivertest.Run(t, func(*testing.T) driver.Backend { return kqueue.Backend{} }, nil)
}
