package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// bzImage wraps a payload as a kernel's build does, after four sectors of setup code and a gap.
func bzImage(payload []byte) []byte {
	const setup, gap = 4, 100
	b := make([]byte, (setup+1)*512+gap)
	b[0x1f1] = setup
	copy(b[0x202:], "HdrS")
	binary.LittleEndian.PutUint32(b[0x248:], gap)
	binary.LittleEndian.PutUint32(b[0x24c:], uint32(len(payload)))
	return append(append(b, payload...), "what follows"...)
}

// compressed returns a compressed kernel followed by its size, which is part of gzip's format.
func compressed(t *testing.T, by string, kernel []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch by {
	case "lz4":
		lz := lz4.NewWriter(&b)
		if err := lz.Apply(lz4.LegacyOption(true)); err != nil {
			t.Fatal(err)
		}
		w = lz
	case "zstd":
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	case "gzip":
		w = gzip.NewWriter(&b)
	case "xz":
		if _, err := exec.LookPath("xz"); err != nil {
			t.Skip("xz is missing")
		}
		cmd := exec.Command("xz", "--check=crc32", "--x86", "--lzma2", "-c")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(kernel), &b
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return binary.LittleEndian.AppendUint32(b.Bytes(), uint32(len(kernel)))
	}
	if _, err := w.Write(kernel); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if by == "gzip" {
		return b.Bytes()
	}
	return binary.LittleEndian.AppendUint32(b.Bytes(), uint32(len(kernel)))
}

func TestVmlinux(t *testing.T) {
	kernel := append([]byte("\x7fELF"), bytes.Repeat([]byte("code, "), 1<<18)...)
	for _, by := range []string{"lz4", "zstd", "gzip", "xz"} {
		t.Run(by, func(t *testing.T) {
			got, err := vmlinux(bzImage(compressed(t, by, kernel)))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, kernel) {
				t.Errorf("got %d bytes, want the %d that were compressed", len(got), len(kernel))
			}
		})
	}
}

func TestVmlinuxRefuses(t *testing.T) {
	good := bzImage(compressed(t, "lz4", []byte("\x7fELF and so on")))
	for _, c := range []struct {
		name  string
		image []byte
		want  string
	}{
		{"nothing", nil, "not a bzImage"},
		{"another file", make([]byte, 4096), "not a bzImage"},
		{"truncated", good[:2600], "truncated"},
		{"unknown compression", bzImage([]byte("BZh9 and so on")), "unknown compression"},
		{"no kernel inside", bzImage(compressed(t, "zstd", []byte("just text"))), "not an ELF file"},
		{"damaged", bzImage(append([]byte{0x02, 0x21, 0x4c, 0x18}, "\x04\x00\x00\x00 nonsense"...)), "bzImage: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := vmlinux(c.image); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}
