package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

// trace is what a process holds that a generation may have left behind.
type trace struct {
	goroutines int
	files      map[string]string // what each descriptor is
	heap       uint64            // bytes in use
	sites      map[string]int64  // the same, as sampled, by who has allocated it
}

// heapSlack is by how much the heap may differ. What a generation leaves behind adds up.
const heapSlack = 3 << 20

func take() *trace {
	tr := &trace{goroutines: runtime.NumGoroutine(), files: files(), sites: sites()}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	tr.heap = m.HeapAlloc
	return tr
}

// compare waits until the process holds no more than before, and the engine is gone. Otherwise it
// says what is left.
func (before *trace) compare(gone func() bool) string {
	var now *trace
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		runtime.GC()
		runtime.GC() // what sync.Pool keeps is free after the second
		now = take()
		if now.goroutines <= before.goroutines && len(now.files) <= len(before.files) &&
			now.heap <= before.heap+heapSlack && gone() {
			return ""
		}
		if time.Now().After(deadline) {
			break
		}
	}
	var s strings.Builder
	if now.goroutines > before.goroutines {
		fmt.Fprintf(&s, "%d goroutines instead of %d:\n", now.goroutines, before.goroutines)
		pprof.Lookup("goroutine").WriteTo(&s, 1)
	}
	if len(now.files) > len(before.files) {
		fmt.Fprintf(&s, "%d descriptors instead of %d:\n", len(now.files), len(before.files))
		for fd, what := range now.files {
			if before.files[fd] != what {
				fmt.Fprintf(&s, "  %s: %s\n", fd, what)
			}
		}
	}
	if now.heap > before.heap+heapSlack {
		fmt.Fprintf(&s, "%d KiB of heap instead of %d; what has grown:\n%s", now.heap>>10, before.heap>>10,
			grown(before, now))
	}
	if !gone() {
		fmt.Fprintf(&s, "the engine, which somebody still holds; what has grown:\n%s", grown(before, now))
	}
	return s.String()
}

// files returns the descriptors of the process, where the system shows them.
func files() map[string]string {
	all, _ := filepath.Glob("/proc/self/fd/*")
	open := make(map[string]string)
	for _, fd := range all {
		if what, err := os.Readlink(fd); err == nil { // else it was Glob's own
			open[filepath.Base(fd)] = what
		}
	}
	return open
}

// sites returns how many bytes are in use by the functions that have allocated them.
func sites() map[string]int64 {
	records := make([]runtime.MemProfileRecord, 100)
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, 2*n)
	}
	all := make(map[string]int64)
	for i := range records {
		var names []string
		for frames := runtime.CallersFrames(records[i].Stack()); ; {
			f, more := frames.Next()
			if names = append(names, f.Function); !more || len(names) == 6 {
				break
			}
		}
		all[strings.Join(names, " < ")] += records[i].InUseBytes()
	}
	return all
}

// grown names the allocations that take more than before, the largest first.
func grown(before, now *trace) string {
	var names []string
	for name, n := range now.sites {
		if n > before.sites[name] {
			names = append(names, name)
		}
	}
	growth := func(name string) int64 { return now.sites[name] - before.sites[name] }
	slices.SortFunc(names, func(a, b string) int { return int(growth(b) - growth(a)) })
	var s strings.Builder
	for _, name := range names[:min(len(names), 8)] {
		fmt.Fprintf(&s, "  %d KiB more by %s\n", growth(name)>>10, name)
	}
	return s.String()
}
