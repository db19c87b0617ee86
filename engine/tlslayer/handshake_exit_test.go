package tlslayer

import (
	"crypto/tls"
	"errors"
	"net"
	"runtime"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestCallbackEndsItsGoroutine: a handshake whose callback calls runtime.Goexit kept its turn, and
// its place among those that may begin, for ever. A few of them, and there were no others.
func TestCallbackEndsItsGoroutine(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*tls.Config)
	}{
		{name: "with its turn", set: func(c *tls.Config) {
			c.VerifyConnection = func(tls.ConnectionState) error {
				runtime.Goexit()
				return nil
			}
		}},
		{name: "without its turn", set: func(c *tls.Config) {
			c.Certificates = nil
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				runtime.Goexit()
				return nil, nil
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLayer(Config{TLS: changed(c.set), Processors: 1})
			h := l.server(nil, nil, func() {})
			h.Feed(hello(t))
			waitFor(t, func() bool { done, _ := h.Done(); return done })
			var p *engine.PanicError
			if _, err := h.Done(); !errors.As(err, &p) || p.Value != "runtime.Goexit" {
				t.Errorf("error %v", err)
			}
			if !idle(l) {
				t.Errorf("running %d, begun %d: %+v", l.pool.running, l.pool.begun, l.Stats())
			}
		})
	}
}

// TestErrorOfACallbackPanics: the error of a callback may have methods that panic, as those of a
// nil pointer do. They were called by the handshake's goroutine, and the process ended.
func TestErrorOfACallbackPanics(t *testing.T) {
	l := newLayer(Config{Processors: 1, TLS: changed(func(c *tls.Config) {
		c.Certificates = nil
		c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return nil, (*net.OpError)(nil) // whose Unwrap panics
		}
	})})
	h := l.server(nil, nil, func() {})
	h.Feed(hello(t))
	waitFor(t, func() bool { done, _ := h.Done(); return done })
	if _, err := h.Done(); err == nil || l.Stats().Failed != 1 || !idle(l) {
		t.Errorf("error %T, running %d, begun %d: %+v", err, l.pool.running, l.pool.begun, l.Stats())
	}
}
