//go:build !unix

package drivertest

import "github.com/myriadnet/myriad/engine/internal/driver"

// Here only the simulator is tested, which has no kernel to ask.
func checkFlags(*host, string, int)              {}
func checkOption(*host, int, driver.Option, int) {}
func duplicate(*host, int) (close func())        { return nil }
func makeBlocking(*host, int)                    {}
