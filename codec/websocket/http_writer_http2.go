package websocket

import (
	"net/http"
	"sync"
	"time"
)

// http2Writer is the ResponseWriter of a request over HTTP/2. It ends a response of which the
// client takes less than minProgress within the timeout: the window for it is the client's to open,
// and net/http would wait for ever.
type http2Writer struct {
	http.ResponseWriter
	timeout time.Duration // Server.HTTPTimeout

	mu     sync.Mutex
	timer  *time.Timer // runs while the Handler waits in a write; nil: none has begun
	writes bool
	own    bool // the Handler has set a deadline of its own
	over   bool // the Handler has returned
}

// Unwrap is for http.ResponseController.
func (w *http2Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements http.ResponseWriter.
func (w *http2Writer) Write(p []byte) (n int, err error) {
	defer w.begin()()
	for {
		m, err := w.ResponseWriter.Write(p[n:min(n+minProgress, len(p))])
		if n += m; err != nil || n == len(p) {
			return n, err
		}
		w.again()
	}
}

// Flush implements http.Flusher.
func (w *http2Writer) Flush() { w.FlushError() }

// FlushError is Flush for http.ResponseController.
func (w *http2Writer) FlushError() error {
	defer w.begin()()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Push implements http.Pusher.
func (w *http2Writer) Push(target string, o *http.PushOptions) error {
	return w.ResponseWriter.(http.Pusher).Push(target, o)
}

// SetWriteDeadline is for http.ResponseController: the Handler's own deadline replaces the timeout.
func (w *http2Writer) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	w.own = true
	w.mu.Unlock()
	return http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
}

// begin begins a call that may wait for the client, and returns what ends it.
func (w *http2Writer) begin() (end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.own || w.writes { // of another goroutine, which net/http does not allow
		return func() {}
	}
	w.writes = true
	if w.timer == nil {
		w.timer = time.AfterFunc(w.timeout, w.late)
	} else {
		w.timer.Reset(w.timeout)
	}
	return w.end
}

// again begins the timeout anew.
func (w *http2Writer) again() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writes {
		w.timer.Reset(w.timeout)
	}
}

func (w *http2Writer) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes = false
	w.timer.Stop()
}

// late makes the write in progress fail. net/http resets the stream.
func (w *http2Writer) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.writes && !w.own && !w.over {
		http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Unix(1, 0))
	}
}

// finish is called when the Handler has returned: net/http writes what is left.
func (w *http2Writer) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over = true; w.own {
		return
	}
	http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(w.timeout))
}
