package engine_test

import (
	"net"
	"syscall"
	"testing"
)

const canSegment = true

// segment has the kernel cut what c writes into datagrams of n bytes: UDP_SEGMENT of udp(7).
func segment(t *testing.T, c net.Conn, n int) {
	t.Helper()
	const udpSegment = 103
	needOption(t, syscall.SOCK_DGRAM, syscall.IPPROTO_UDP, udpSegment, n)
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_UDP, udpSegment, n) })
	if err != nil {
		t.Fatal(err)
	}
}
