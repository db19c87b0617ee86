package handover

import "golang.org/x/sys/unix"

// peerUID returns the effective user of the process at the other end, as it was when it called
// connect(2) or listen(2).
func peerUID(fd int) (int, error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}
