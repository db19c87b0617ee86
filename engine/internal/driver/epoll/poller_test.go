//go:build linux

package epoll_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/drivertest"
	"github.com/myriadnet/myriad/engine/internal/driver/epoll"
)

func TestContract(t *testing.T) {
	drivertest.Run(t, func(*testing.T) driver.Backend { return epoll.Backend{} }, nil)
}
