//go:build !linux

package engine_test

import (
	"net"
	"testing"
)

const canSegment = false

func segment(*testing.T, net.Conn, int) {}
