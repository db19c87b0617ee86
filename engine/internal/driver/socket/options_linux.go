package socket

import "golang.org/x/sys/unix"

const keepIdle, keepInterval, keepCount = unix.TCP_KEEPIDLE, unix.TCP_KEEPINTVL, unix.TCP_KEEPCNT

// deferAccept sets TCP_DEFER_ACCEPT, if the kernel has it.
func deferAccept(fd, seconds int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
}

// bindNoPort sets IP_BIND_ADDRESS_NO_PORT of ip(7), if the kernel has it: connect(2) then chooses
// the port, which may be in use with another remote address. Without it bind(2) must find a port
// that is not in use at all.
func bindNoPort(fd int) {
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// abstract reports whether a unix socket has no file: unix(7).
func abstract(path string) bool { return path == "" || path[0] == '@' || path[0] == 0 }

// netOptions are the options that package net sets in a connection that it gets.
var netOptions = [5]struct{ level, name int }{
	{unix.IPPROTO_TCP, unix.TCP_NODELAY},
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
	{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
	{unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
}
