package wsproto

import (
	"bytes"
	"syscall"
	"testing"
)

// TestVectorsStayInTheirPages has texts begin where a page begins and end where one ends, between
// pages that nobody may touch: a byte too far would end the process.
func TestVectorsStayInTheirPages(t *testing.T) {
	page := syscall.Getpagesize()
	memory, err := syscall.Mmap(-1, 0, 3*page, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(memory)
	for _, guard := range [][]byte{memory[:page], memory[2*page:]} {
		if err := syscall.Mprotect(guard, syscall.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	mine := memory[page : 2*page : 2*page]
	for n := range 700 {
		text := benchmarkText("zwei: ß, drei: 漢, vier: 😀 ", n)
		for _, b := range [][]byte{mine[:n:n], mine[page-n:]} {
			try := func(name string, least int, f func() bool) {
				if n < least {
					return
				}
				copy(b, text)
				naiveMask(b, 0x9A3C5D7E)
				if !f() || !bytes.Equal(b, text) {
					t.Fatalf("%s: wrong at length %d, end of the page: %v", name, n, &b[0] != &mine[0])
				}
			}
			for _, m := range maskers() {
				try(m.name, m.least, func() bool { m.mask(b, 0x9A3C5D7E); return true })
			}
			for _, c := range checkers() {
				try(c.name, c.least, func() bool { return c.check(b, 0x9A3C5D7E) })
			}
			EachVectors(func(name string) {
				try(name, 0, func() bool { return unmaskText(b, 0x9A3C5D7E) })
			})
		}
	}
}
