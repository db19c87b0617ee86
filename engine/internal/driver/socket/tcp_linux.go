package socket

import "golang.org/x/sys/unix"

const keepIdle = unix.TCP_KEEPIDLE

func deferAccept(fd, seconds int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
}

// Unacknowledged is SIOCOUTQ of tcp(7) and unix(7).
func Unacknowledged(fd int) int {
	n, _ := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	return max(n, 0)
}

// IncomingCPU is SO_INCOMING_CPU of socket(7).
func IncomingCPU(fd int) int {
	cpu, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_INCOMING_CPU)
	if err != nil {
		return -1
	}
	return cpu
}

// bindNoPort is IP_BIND_ADDRESS_NO_PORT of ip(7): connect(2) chooses the port, which may then be one that is in use with
// another remote address. bind(2) would have to find one that nobody uses at all.
func bindNoPort(fd int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}
