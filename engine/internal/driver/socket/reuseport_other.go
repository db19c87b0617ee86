//go:build darwin || netbsd || openbsd

package socket

import (
	"errors"
	"fmt"
)

// reusePort fails: with SO_REUSEPORT these systems give all peers to one of the sockets.
func reusePort(int) error {
	return fmt.Errorf("this system does not spread peers over sockets (SO_REUSEPORT): %w", errors.ErrUnsupported)
}
