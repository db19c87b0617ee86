package tlslayer

import (
	"crypto/tls"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
)

// sessionCache stands in front of the user's. In TLS 1.3 a ticket comes behind the handshake, so
// that the tls.Conn calls Put on a loop. The user's Put is called by a goroutine, for one session
// at a time, in the order in which they came. Get does not wait for that.
type sessionCache struct {
	cache  tls.ClientSessionCache
	logger *slog.Logger

	mu   sync.Mutex
	puts []sessionPut // puts[0] is in progress
}

type sessionPut struct {
	key     string
	session *tls.ClientSessionState
}

// maxPuts is how many sessions wait for a slow cache, of up to 64 KiB each. Another one is lost: it
// costs a full handshake.
const maxPuts = 64

// newSessionCache returns nil if there is no cache.
func newSessionCache(cache tls.ClientSessionCache, logger *slog.Logger) tls.ClientSessionCache {
	if cache == nil {
		return nil
	}
	return &sessionCache{cache: cache, logger: logger}
}

// Put implements tls.ClientSessionCache.
func (c *sessionCache) Put(key string, s *tls.ClientSessionState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.puts) == maxPuts {
		return
	}
	c.puts = append(c.puts, sessionPut{key, s})
	if len(c.puts) == 1 {
		go c.put(c.puts[0])
	}
}

// put calls the user's Put. The next one has a goroutine of its own, as this one may end in it.
func (c *sessionCache) put(p sessionPut) {
	defer func() {
		if v := recover(); v != nil {
			c.logPanic(v)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.puts = slices.Delete(c.puts, 0, 1)
		if len(c.puts) > 0 {
			go c.put(c.puts[0])
		}
	}()
	c.cache.Put(p.key, p.session)
}

// logPanic logs a panic of Put. One of the Logger is lost.
func (c *sessionCache) logPanic(v any) {
	defer func() { recover() }()
	c.logger.Error("tlslayer: panic in ClientSessionCache.Put", "panic", v, "stack", string(debug.Stack()))
}

// Get implements tls.ClientSessionCache. The goroutines of handshakes call it.
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	if p, ok := c.waiting(key); ok {
		return p.session, p.session != nil
	}
	return c.cache.Get(key)
}

// waiting returns the last Put for key that is not done.
func (c *sessionCache) waiting(key string) (sessionPut, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range slices.Backward(c.puts) {
		if p.key == key {
			return p, true
		}
	}
	return sessionPut{}, false
}
