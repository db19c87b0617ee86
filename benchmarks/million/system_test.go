package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// writeProc writes a folder like /proc.
func writeProc(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadSystem(t *testing.T) {
	files := map[string]string{
		"meminfo": "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 350 kB\nBuffers: 10 kB\nCached: 90 kB\n" +
			"SwapCached: 0 kB\nAnonPages: 100 kB\nSlab: 400 kB\nPageTables: 8 kB\nVmallocUsed: 16 kB\n" +
			"HugePages_Total: 0\n",
		"net/sockstat":   "sockets: used 12\nTCP: inuse 6 orphan 0 tw 2 alloc 7 mem 3\nUDP: inuse 1 mem 1\n",
		"sys/fs/file-nr": "99\t0\t1000\n",
		"slabinfo": "slabinfo - version: 2.1\n" +
			"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : " +
			"tunables <limit> <batchcount> <sharedfactor> : " +
			"slabdata <active_slabs> <num_slabs> <sharedavail>\n" +
			"dentry 40 42 192 21 1 : tunables 0 0 0 : slabdata 2 2 0\n" +
			"TCP 14 14 2304 14 8 : tunables 0 0 0 : slabdata 1 1 0\n",
	}
	page := int64(os.Getpagesize())
	want := systemMemory{Available: 350 << 10, Kernel: 500 << 10, Slab: 400 << 10, PageTables: 8 << 10,
		Vmalloc: 16 << 10, Sockets: 6, SocketBytes: 3 * page, Files: 99,
		Slabs: []slab{{"TCP", 14, 2304, 8 * page}, {"dentry", 40, 192, 2 * page}}}
	got, err := readSystem(writeProc(t, files))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	delete(files, "slabinfo") // only root may read it
	want.Slabs = nil
	if got, err = readSystem(writeProc(t, files)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("without slabinfo: %v, %+v", err, got)
	}
	files["slabinfo"] = "dentry 40 42 many 21 1 : tunables 0 0 0 : slabdata 2 2 0\n"
	if _, err = readSystem(writeProc(t, files)); err == nil {
		t.Error("readSystem accepts a malformed slabinfo")
	}
}
