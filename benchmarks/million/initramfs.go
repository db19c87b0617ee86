package main

import (
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// initramfs writes an archive that the kernel unpacks as its first root file system: cpio in the
// format "newc" (cpio(5), Documentation/driver-api/early-userspace/buffer-format.rst). Only w must
// be set.
type initramfs struct {
	w    io.Writer
	n    int64 // bytes written
	ino  int
	dirs map[string]bool
	err  error
}

const (
	cpioRegular = 0o100000
	cpioDir     = 0o040000
)

// add appends a regular file, after its directories.
func (a *initramfs) add(name string, mode os.FileMode, content []byte) {
	a.mkdir(path.Dir(name))
	a.entry(name, cpioRegular|uint32(mode.Perm()), content)
}

// mkdir appends a directory, after its parents, each once.
func (a *initramfs) mkdir(name string) {
	if name == "." || a.dirs[name] {
		return
	}
	if a.dirs == nil {
		a.dirs = map[string]bool{}
	}
	a.dirs[name] = true
	a.mkdir(path.Dir(name))
	a.entry(name, cpioDir|0o755, nil)
}

// close ends the archive and returns the first error.
func (a *initramfs) close() error {
	a.entry("TRAILER!!!", 0, nil)
	return a.err
}

// entry writes a header of 13 hexadecimal numbers, the name with a NUL, and the content. Name and
// content are padded to a multiple of four.
func (a *initramfs) entry(name string, mode uint32, content []byte) {
	a.ino++
	header := []uint32{uint32(a.ino), mode, 0, 0, 1, 0, uint32(len(content)), 0, 0, 0, 0, uint32(len(name) + 1), 0}
	var b strings.Builder
	b.WriteString("070701")
	for _, v := range header {
		fmt.Fprintf(&b, "%08X", v)
	}
	a.write([]byte(b.String() + name + "\x00"))
	a.write(content)
}

func (a *initramfs) write(b []byte) {
	if a.err != nil {
		return
	}
	n, err := a.w.Write(b)
	if a.n, a.err = a.n+int64(n), err; a.err == nil && a.n%4 != 0 {
		a.write(make([]byte, 4-a.n%4))
	}
}
