package socket

import "golang.org/x/sys/unix"

const keepIdle = unix.TCP_KEEPIDLE

// deferAccept sets TCP_DEFER_ACCEPT, if the kernel has it.
func deferAccept(fd, seconds int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
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

// bindNoPort sets IP_BIND_ADDRESS_NO_PORT of ip(7), if the kernel has it: connect(2) chooses the
// port, which may then be one that is in use with another remote address. Without it bind(2) has to
// find one that nobody uses at all.
func bindNoPort(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}
