//go:build linux

package epoll

import "testing"

// WithoutPwait2 makes pollers do without epoll_pwait2(2) until the test ends.
func WithoutPwait2(t *testing.T) {
	noPwait2.Store(true)
	t.Cleanup(func() { noPwait2.Store(false) })
}
