//go:build !unix

package drivertest

import "github.com/myriadnet/myriad/engine/internal/driver"

// There is only the simulator here, and it has no kernel to ask.
func checkFlags(*host, string, int)              {}
func checkOption(*host, int, driver.Option, int) {}
