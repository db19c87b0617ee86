package driver

import (
	"os"
	"path/filepath"
)

// File is the file of a unix socket. The zero File is none, as of an abstract socket.
type File struct {
	path string // absolute: the working directory may change
	info os.FileInfo
}

// FileOf returns the file that is at path now.
func FileOf(path string) (File, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return File{}, err
	}
	info, err := os.Lstat(path)
	return File{path, info}, err
}

// Remove removes the file, unless another one has taken its place. Call it before the socket is
// closed: until then no other file can get the same inode.
func (f File) Remove() {
	if f.info == nil {
		return
	}
	if now, err := os.Lstat(f.path); err == nil && os.SameFile(f.info, now) {
		os.Remove(f.path)
	}
}
