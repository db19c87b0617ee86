//go:build linux

package proc

import "sync"

// Tail is a Writer that keeps the last bytes written to it, such as what a process prints. Its
// methods may be called by any goroutine.
type Tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 4 << 10

// Write keeps the end of b.
func (t *Tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(b), nil
}

// String returns what was kept behind a line break, or nothing.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.b) == 0 {
		return ""
	}
	return "\n" + string(t.b)
}
