//go:build dragonfly || netbsd || openbsd

package handover

import (
	"errors"
	"fmt"
	"runtime"
)

// peerUID is not there on these systems: golang.org/x/sys has no call for it.
func peerUID(int) (int, error) {
	return -1, fmt.Errorf("the user of a peer is unknown on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
