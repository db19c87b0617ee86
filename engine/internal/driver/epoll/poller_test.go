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

// TestContractWithoutPwait2: on a kernel before Linux 5.11.
func TestContractWithoutPwait2(t *testing.T) {
	epoll.WithoutPwait2(t)
	drivertest.Run(t, func(*testing.T) driver.Backend { return epoll.Backend{} }, nil)
}
