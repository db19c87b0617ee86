package main

import (
	"bytes"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// file is an entry of an initramfs.
type file struct {
	name    string
	mode    uint64
	content string
}

// readNewc reads an archive in the "new ASCII format" of cpio(5).
func readNewc(t *testing.T, b []byte) (files []file) {
	t.Helper()
	number := func(at int) int {
		v, err := strconv.ParseUint(string(b[at:at+8]), 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		return int(v)
	}
	padded := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; ; {
		if string(b[at:at+6]) != "070701" {
			t.Fatalf("no header at %d: %q", at, b[at:at+6])
		}
		mode, size, nameSize := number(at+6+8), number(at+6+8*6), number(at+6+8*11)
		name := string(b[at+110 : at+110+nameSize-1])
		content := padded(at + 110 + nameSize)
		at = padded(content + size)
		if name == "TRAILER!!!" {
			if at != len(b) {
				t.Errorf("%d bytes after the end", len(b)-at)
			}
			return files
		}
		files = append(files, file{name, uint64(mode), string(b[content : content+size])})
	}
}

func makeArchive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	a := initramfs{w: &b}
	a.add("init", 0o755, []byte("#!"))
	a.add("usr/bin/one", 0o755, []byte("12345"))
	a.add("usr/bin/two", 0o644, nil)
	a.mkdir("usr")
	a.mkdir("proc")
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInitramfs(t *testing.T) {
	want := []file{
		{"init", 0o100755, "#!"},
		{"usr", 0o040755, ""},
		{"usr/bin", 0o040755, ""},
		{"usr/bin/one", 0o100755, "12345"},
		{"usr/bin/two", 0o100644, ""},
		{"proc", 0o040755, ""},
	}
	if got := readNewc(t, makeArchive(t)); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestInitramfsByBusybox(t *testing.T) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("busybox is missing")
	}
	cmd := exec.Command(busybox, "cpio", "-t")
	cmd.Stdin = bytes.NewReader(makeArchive(t))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"init", "usr", "usr/bin", "usr/bin/one", "usr/bin/two", "proc"}
	if got := strings.Fields(string(out)); !slices.Equal(got, want) {
		t.Errorf("busybox lists %q, want %q", got, want)
	}
}

// full is a Writer that takes a limited number of bytes.
type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, bytes.ErrTooLarge
	}
	return len(b), nil
}

func TestInitramfsReturnsWriteError(t *testing.T) {
	a := initramfs{w: &full{left: 200}}
	a.add("init", 0o755, make([]byte, 100))
	a.add("more", 0o755, nil)
	if err := a.close(); err != bytes.ErrTooLarge {
		t.Errorf("close: %v", err)
	}
}
