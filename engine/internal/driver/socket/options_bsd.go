//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package socket

import "golang.org/x/sys/unix"

// deferAccept does nothing. FreeBSD's accept filters must be loaded first, and the other systems
// have nothing like it.
func deferAccept(fd, seconds int) {}

// bindNoPort does nothing: only Linux has such an option.
func bindNoPort(fd int) {}

// abstract reports whether a unix socket has no file. Only Linux has such sockets.
func abstract(path string) bool { return path == "" }

// netOptions are the options that package net sets in a connection that it gets.
var netOptions = [3]struct{ level, name int }{
	{unix.IPPROTO_TCP, unix.TCP_NODELAY},
	{unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	{unix.IPPROTO_TCP, keepIdle},
}
