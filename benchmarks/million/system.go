package main

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// systemMemory is the kernel's memory and sockets. Memory is in bytes.
type systemMemory struct {
	// Available is MemAvailable. It includes much of the memory of sockets, as if it could be
	// reclaimed.
	Available int64 `json:"available"`
	// Kernel is what is neither free, nor a process's, nor cached files. Slab, PageTables and
	// Vmalloc are parts of it: objects such as sockets; page tables; large arrays such as those of
	// descriptors.
	Kernel     int64 `json:"kernel"`
	Slab       int64 `json:"slab"`
	PageTables int64 `json:"page_tables"`
	Vmalloc    int64 `json:"vmalloc"`

	Sockets     int    `json:"sockets"`      // open TCP sockets
	SocketBytes int64  `json:"socket_bytes"` // in queues of TCP
	Files       int    `json:"files"`        // open in the whole system, to about a hundred
	Slabs       []slab `json:"slabs,omitempty"`
}

// slab is a kind of kernel object.
type slab struct {
	Name    string `json:"name"`
	Objects int64  `json:"objects"`
	Size    int64  `json:"size"` // of an object
	Bytes   int64  `json:"bytes"`
}

// readSystem reads systemMemory from a /proc. Only root may read the slabs, which stay empty
// otherwise.
func readSystem(proc string) (systemMemory, error) {
	var m systemMemory
	info, err := os.ReadFile(proc + "/meminfo")
	if err != nil {
		return m, err
	}
	kb := map[string]int64{}
	for line := range strings.Lines(string(info)) {
		if name, rest, ok := strings.Cut(line, ":"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			kb[name] = n << 10
		}
	}
	m.Available, m.Slab, m.PageTables, m.Vmalloc = kb["MemAvailable"], kb["Slab"], kb["PageTables"], kb["VmallocUsed"]
	m.Kernel = kb["MemTotal"] - kb["MemFree"] - kb["Buffers"] - kb["Cached"] - kb["SwapCached"] - kb["AnonPages"]

	sockstat, err := os.ReadFile(proc + "/net/sockstat")
	if err != nil {
		return m, err
	}
	// TCP: inuse 6 orphan 0 tw 2 alloc 7 mem 1
	for line := range strings.Lines(string(sockstat)) {
		if f := strings.Fields(line); len(f) > 10 && f[0] == "TCP:" {
			m.Sockets, _ = strconv.Atoi(f[2])
			pages, _ := strconv.ParseInt(f[10], 10, 64)
			m.SocketBytes = pages * int64(os.Getpagesize())
		}
	}
	files, err := os.ReadFile(proc + "/sys/fs/file-nr")
	if err != nil {
		return m, err
	}
	if f := strings.Fields(string(files)); len(f) > 0 {
		m.Files, _ = strconv.Atoi(f[0])
	}
	m.Slabs, err = readSlabs(proc + "/slabinfo")
	if errors.Is(err, os.ErrPermission) || errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return m, err
}

// readSlabs returns the ten kinds of objects that use the most memory, the largest first:
// slabinfo(5).
func readSlabs(name string) ([]slab, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var all []slab
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// name active_objs num_objs objsize objperslab pagesperslab : tunables 0 0 0 : slabdata
		// active_slabs num_slabs shared
		f := strings.Fields(lines.Text())
		if len(f) < 16 || f[6] != ":" {
			continue
		}
		objects, err1 := strconv.ParseInt(f[1], 10, 64)
		size, err2 := strconv.ParseInt(f[3], 10, 64)
		pages, err3 := strconv.ParseInt(f[5], 10, 64)
		slabs, err4 := strconv.ParseInt(f[14], 10, 64)
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, slab{f[0], objects, size, slabs * pages * int64(os.Getpagesize())})
	}
	slices.SortStableFunc(all, func(a, b slab) int { return cmp.Compare(b.Bytes, a.Bytes) })
	return all[:min(len(all), 10)], nil
}
