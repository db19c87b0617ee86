package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// vmlinux extracts the kernel from a bzImage, whose own code would do it much more slowly under
// emulation. The header says where the kernel is: see payload_offset and payload_length in
// Documentation/x86/boot.rst.
func vmlinux(image []byte) ([]byte, error) {
	const setupSects, magic, payload = 0x1f1, 0x202, 0x248
	if len(image) < payload+8 || string(image[magic:magic+4]) != "HdrS" {
		return nil, errors.New("not a bzImage")
	}
	start := (int(image[setupSects])+1)*512 + int(binary.LittleEndian.Uint32(image[payload:]))
	end := start + int(binary.LittleEndian.Uint32(image[payload+4:]))
	if end > len(image) || end-start < 8 {
		return nil, errors.New("bzImage: truncated")
	}
	size := int(binary.LittleEndian.Uint32(image[end-4:])) // appended by the kernel's build
	kernel, err := decompress(image[start:end-4], image[start:end], size)
	if err != nil {
		return nil, fmt.Errorf("bzImage: %w", err)
	}
	if !bytes.HasPrefix(kernel, []byte("\x7fELF")) {
		return nil, errors.New("bzImage: the payload is not an ELF file")
	}
	return kernel, nil
}

// decompress supports the compression of Debian's kernels. sized is the payload followed by the
// size of the kernel in 4 bytes.
func decompress(payload, sized []byte, size int) ([]byte, error) {
	var r io.Reader
	switch {
	case bytes.HasPrefix(payload, []byte{0x02, 0x21, 0x4c, 0x18}):
		r = lz4.NewReader(bytes.NewReader(payload))
	case bytes.HasPrefix(payload, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	case bytes.HasPrefix(payload, []byte{0x1f, 0x8b}): // the size is part of gzip's format
		return readGzip(sized)
	case bytes.HasPrefix(payload, []byte("\xfd7zXZ")): // its filter for x86 code needs the command
		cmd := exec.Command("xz", "-dc")
		cmd.Stdin = bytes.NewReader(payload)
		out, err := cmd.Output()
		if errors.Is(err, exec.ErrNotFound) {
			return nil, errors.New("the kernel is compressed with xz: install xz-utils")
		}
		return out, err
	default:
		return nil, fmt.Errorf("unknown compression, magic % x", payload[:4])
	}
	kernel := make([]byte, size)
	_, err := io.ReadFull(r, kernel)
	return kernel, err
}

func readGzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
