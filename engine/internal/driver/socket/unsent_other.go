//go:build dragonfly || openbsd

package socket

// unsent does not know: these systems have no way to ask.
func unsent(fd int) int { return 0 }
