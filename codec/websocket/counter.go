package websocket

import (
	"net/netip"
	"sync"
)

// addressCounter counts what is in progress, opening handshakes or HTTP connections: in all, and by
// the address prefix that it comes from (engine.Conn.RemotePrefix).
type addressCounter struct {
	mu    sync.Mutex
	total int
	by    map[netip.Prefix]*addressCount
	spare *addressCount // of a prefix that has gone, for the next one
}

// addressCount is a prefix with something in progress.
type addressCount struct {
	prefix netip.Prefix
	n      int
}

// add counts one more. It reports whether there was room for it: less than limit in all, and less
// than a quarter of that from the same prefix. A limit that is not positive counts nothing.
// count is nil then; otherwise remove must get it.
func (a *addressCounter) add(prefix netip.Prefix, limit int) (count *addressCount, ok bool) {
	if limit <= 0 {
		return nil, true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.total >= limit {
		return nil, false
	}
	if count = a.by[prefix]; count == nil {
		if a.by == nil {
			a.by = make(map[netip.Prefix]*addressCount)
		}
		if count, a.spare = a.spare, nil; count == nil {
			count = new(addressCount)
		}
		count.prefix = prefix
		a.by[prefix] = count
	}
	if count.n >= max(limit/4, 1) {
		return nil, false
	}
	count.n++
	a.total++
	return count, true
}

// remove takes back one that add has counted.
func (a *addressCounter) remove(count *addressCount) {
	if count == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.total--
	if count.n--; count.n == 0 {
		delete(a.by, count.prefix)
		a.spare = count
	}
}
