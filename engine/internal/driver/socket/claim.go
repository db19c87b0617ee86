//go:build unix

package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// claimPatience is how long claim waits for another process that claims the same path.
const claimPatience = time.Second

// bindPath calls bind, which makes a unix socket of path and lets peers connect to it, and notes
// the file, unless into is nil. Before that it removes the file that a dead process has left
// behind.
//
// A socket that nobody listens on looks the same whether its process has died or is about to call
// listen(2). So everything from the look at the old socket to the end of bind is done under a lock,
// which is the file path.myriad-lock for so long: of several processes that start at the same time,
// one succeeds.
func bindPath(path string, sa unix.Sockaddr, kind int, into *driver.File, bind func() error) error {
	if abstract(path) {
		return bind()
	}
	unlock, lockErr := lock(path + ".myriad-lock")
	defer unlock()
	if err := removeStale(path, sa, kind, lockErr); err != nil {
		return err
	}
	if err := bind(); err != nil || into == nil {
		return err
	}
	var err error
	*into, err = driver.FileOf(path)
	return err
}

// bindMode calls bind, and gives the file of a unix socket its mode; 0 leaves that to the umask.
//
// Nobody may connect before: connections are refused until listen(2), and a file made by bind(2)
// has no permission on Linux that the socket's own inode has not. Other systems have no such mode,
// and there fchmod(2) fails: a unixgram socket is open to what the umask allows for a moment.
func bindMode(fd int, sa unix.Sockaddr, mode fs.FileMode, bind func() error) error {
	u, ok := sa.(*unix.SockaddrUnix)
	if mode == 0 || !ok || abstract(u.Name) {
		return bind()
	}
	unix.Fchmod(fd, uint32(mode.Perm()))
	if err := bind(); err != nil {
		return err
	}
	err := os.Chmod(u.Name, mode.Perm()) // what the umask has taken away
	if err != nil {
		os.Remove(u.Name)
	}
	return err
}

// removeStale removes the file of a unix socket that has no owner any more. lockErr is why that
// must not be done.
func removeStale(path string, sa unix.Sockaddr, kind int, lockErr error) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil // bind reports it
	}
	fd, err := open(unix.AF_UNIX, kind)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sa); !errors.Is(err, unix.ECONNREFUSED) {
		return nil // in use: bind gives EADDRINUSE
	}
	if lockErr != nil {
		return fmt.Errorf("a dead process has left %s behind, and it cannot be taken over: %w", path, lockErr)
	}
	return os.Remove(path)
}

// lock makes a file of this name and locks it. A file that has content is not ours, and is left
// alone. If there is an error, unlock does nothing.
func lock(name string) (unlock func(), err error) {
	for end := time.Now().Add(claimPatience); ; {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if err != nil {
			return func() {}, err
		}
		if info, err := f.Stat(); err != nil || info.Size() > 0 || !info.Mode().IsRegular() {
			f.Close()
			return func() {}, fmt.Errorf("%s is not a lock file of ours", name)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil && stillNamed(f):
			return func() {
				os.Remove(name)
				f.Close()
			}, nil
		case err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			f.Close()
			return func() {}, fmt.Errorf("%s: %w", name, os.NewSyscallError("flock", err))
		case time.Now().After(end):
			f.Close()
			return func() {}, fmt.Errorf("%s: %w", name, os.NewSyscallError("flock", unix.EWOULDBLOCK))
		}
		f.Close()
		time.Sleep(time.Millisecond)
	}
}

// stillNamed reports whether f has its name still: whoever had the lock before removes the file.
func stillNamed(f *os.File) bool {
	own, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(own, named)
}
