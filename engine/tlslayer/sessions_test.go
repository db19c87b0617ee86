package tlslayer

import (
	"context"
	"crypto/tls"
	"log/slog"
	"runtime"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// ticketConfig is that of a server whose tickets come behind the handshake.
func ticketConfig() *tls.Config {
	return changed(func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs })
}

// puttingCache calls put before each Put.
type puttingCache struct {
	tls.ClientSessionCache
	put func()
}

func (c puttingCache) Put(key string, s *tls.ClientSessionState) {
	c.put()
	c.ClientSessionCache.Put(key, s)
}

// TestSessionCacheOnALoop: a client's ClientSessionCache got its tickets on the loop. One that
// waits kept all connections waiting, and one that panics ended the process.
func TestSessionCacheOnALoop(t *testing.T) {
	waits := make(chan bool)
	for _, standard := range []bool{false, true} {
		for _, c := range []struct {
			name string
			put  func()
		}{
			{name: "waits", put: func() { <-waits }},
			{name: "panics", put: func() { panic("of the user") }},
			{name: "exits", put: runtime.Goexit},
		} {
			t.Run(c.name, func(t *testing.T) {
				called := make(chan bool, 8)
				e := run(t, engine.Config{Loops: 1})
				addr := listen(t, e, Config{TLS: ticketConfig(), StandardRecords: standard},
					func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} })
				l := must(New(Config{
					TLS: changed(func(config *tls.Config) {
						config.ClientSessionCache = puttingCache{tls.NewLRUClientSessionCache(4), func() {
							called <- true
							c.put()
						}}
					}),
					StandardRecords: standard,
					Logger:          slog.New(slog.DiscardHandler),
				}))
				for range 2 {
					got := make(chan []byte, 1)
					e.Dial(t.Context(), "tcp", addr, engine.DialConfig{Layer: l.Client("localhost")},
						func(c *engine.Conn, err error) engine.Protocol {
							if err != nil {
								t.Error(err)
								got <- nil
								return nil
							}
							c.Write([]byte("hello"))
							return &collecting{conn: c, want: 5, done: got}
						})
					if b := <-got; string(b) != "hello" {
						t.Errorf("standard %t: %q", standard, b)
					}
				}
				<-called
			})
		}
	}
	close(waits)
}

// TestSessionsWaitForTheCache: sessions are there at once, however slow the cache is. It gets them
// in order, and only so many wait.
func TestSessionsWaitForTheCache(t *testing.T) {
	turns := make(chan bool)
	user := tls.NewLRUClientSessionCache(4)
	c := newSessionCache(puttingCache{user, func() { <-turns }}, slog.Default())
	var last *tls.ClientSessionState
	for range maxPuts {
		last = new(tls.ClientSessionState)
		c.Put("a", last)
	}
	c.Put("a", new(tls.ClientSessionState)) // is lost
	if s, ok := c.Get("a"); !ok || s != last {
		t.Error("the last session is not there")
	}
	turns <- true
	waitFor(t, func() bool { // there is room for one
		cache := c.(*sessionCache)
		cache.mu.Lock()
		defer cache.mu.Unlock()
		return len(cache.puts) == maxPuts-1
	})
	c.Put("a", nil)
	if s, ok := c.Get("a"); ok || s != nil {
		t.Error("a session is there that was taken back")
	}
	for range maxPuts - 1 {
		turns <- true
	}
	waitFor(t, func() bool { s, ok := user.Get("a"); return ok && s == last })
	turns <- true
	waitFor(t, func() bool { _, ok := user.Get("a"); return !ok })
	if _, ok := c.Get("a"); ok {
		t.Error("a session is there that was taken back")
	}
}

// TestLoggerOfASessionCachePanics: a Logger that panicked over a panic in Put ended the process.
func TestLoggerOfASessionCachePanics(t *testing.T) {
	called := make(chan bool)
	c := newSessionCache(puttingCache{put: func() {
		called <- true
		panic("of the user")
	}}, slog.New(panickingHandler{slog.DiscardHandler}))
	for range 2 {
		c.Put("server", nil)
		<-called
	}
	waitFor(t, func() bool { _, waits := c.(*sessionCache).waiting("server"); return !waits })
}

type panickingHandler struct{ slog.Handler }

func (panickingHandler) Enabled(context.Context, slog.Level) bool { panic("of the Logger") }
