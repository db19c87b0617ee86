package tlslayer

import (
	"runtime"
	"weak"
)

// sweepWithGarbage makes the garbage collector's cycles sweep the cache as long as l is in use. The
// runtime has one at least every two minutes, also if nothing happens. So a cache that nobody uses
// is gone after four, and a loop needs no timer for it.
func (l *loop) sweepWithGarbage() { sweepNext(weak.Make(l)) }

// sweepNext sweeps l after the next cycle, and so on.
func sweepNext(l weak.Pointer[loop]) {
	signal := new(*byte) // a pointer is not allocated together with other things
	runtime.AddCleanup(signal, func(l weak.Pointer[loop]) {
		if l := l.Value(); l != nil {
			l.sweep()
			sweepNext(weak.Make(l))
		}
	}, l)
}

// sweep drops the pages that were not used since the last sweep. It is called by any goroutine,
// also while the loop is using a page: that is then garbage a little later.
func (l *loop) sweep() {
	for i := range l.pages {
		at := &l.pages[i]
		if p := at.Load(); p != nil && !p.used.Swap(false) {
			at.CompareAndSwap(p, nil)
		}
	}
}

// shrink gives up places at the end whose page is gone.
func (l *loop) shrink() {
	for l.places > l.least {
		last := (l.places - 1) / pageLen
		if l.pages[last].Load() != nil {
			break
		}
		l.places = max(l.least, last*pageLen)
	}
	l.next %= l.places
}
