//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package socket

// deferAccept does nothing: FreeBSD's accept filters have to be loaded first, the others have nothing like it.
func deferAccept(fd, seconds int) error { return nil }
