package soak

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// world is what outlives generations.
type world struct {
	*testing.T
	seed    uint64
	longest time.Duration // time that peers of a generation have
	certs   []tls.Certificate
	client  *tls.Config
	log     *slog.Logger
	web     *http.Transport
	logged  atomic.Uint64

	mu    sync.Mutex
	count map[string]int
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, seed: uint64(time.Now().UnixNano()), longest: 100 * time.Millisecond,
		count: make(map[string]int)}
	if s := os.Getenv("MYRIAD_SEED"); s != "" {
		var err error
		if w.seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("MYRIAD_SEED: %v", err)
		}
	}
	t.Logf("MYRIAD_SEED=%d", w.seed)
	server := httptest.NewTLSServer(nil) // for a certificate
	server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	w.certs = server.TLS.Certificates
	w.client = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	w.log = slog.New(wild{w})
	w.web = &http.Transport{}
	return w
}

func (w *world) rest() { w.web.CloseIdleConnections() }

func (w *world) close() { w.rest() }

// happened counts what must not be missing in a soak.
func (w *world) happened(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count[what]++
}

func (w *world) counts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, what := range slices.Sorted(maps.Keys(w.count)) {
		all = append(all, fmt.Sprintf("%s %d", what, w.count[what]))
	}
	return strings.Join(all, ", ")
}

// unseen returns what has never happened.
func (w *world) unseen() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for what := range kinds() {
		if w.count[what] == 0 {
			all = append(all, what)
		}
	}
	return all
}

// wild is a slog.Handler that panics over some messages. Nobody reads the others.
type wild struct{ w *world }

func (h wild) Enabled(context.Context, slog.Level) bool { return true }

func (h wild) Handle(context.Context, slog.Record) error {
	if h.w.logged.Add(1)%3 == 0 {
		panic("wild logger")
	}
	return nil
}

func (h wild) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h wild) WithGroup(string) slog.Handler      { return h }
