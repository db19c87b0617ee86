//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package socket

// deferAccept does nothing. FreeBSD's accept filters must be loaded first, and the other systems
// have nothing like it.
func deferAccept(fd, seconds int) {}

// bindNoPort does nothing: only Linux has such an option.
func bindNoPort(fd int) {}

// abstract reports whether a unix socket has no file. Only Linux has such sockets.
func abstract(path string) bool { return path == "" }
