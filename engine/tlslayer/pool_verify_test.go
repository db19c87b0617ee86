package tlslayer

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"sync/atomic"
	"testing"
)

// slowCache is a cache of sessions whose Get waits.
type slowCache struct {
	tls.ClientSessionCache
	wait func()
}

func (c slowCache) Get(key string) (*tls.ClientSessionState, bool) {
	c.wait()
	return c.ClientSessionCache.Get(key)
}

// isIdle reports whether no Put is in progress.
func (c *sessionCache) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.puts) == 0
}

// TestEveryCallbackMayWait: a handshake that waited in a callback other than those that return a
// certificate or a Config kept its turn, and so all others from theirs.
func TestEveryCallbackMayWait(t *testing.T) {
	for name, set := range map[string]func(server, client *tls.Config, wait func()){
		"VerifyConnection": func(c, _ *tls.Config, wait func()) {
			c.VerifyConnection = func(tls.ConnectionState) error { wait(); return nil }
		},
		"VerifyPeerCertificate": func(c, _ *tls.Config, wait func()) {
			c.SessionTicketsDisabled = true // or there would be no certificate
			c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { wait(); return nil }
		},
		"VerifyConnection of a client": func(_, c *tls.Config, wait func()) {
			c.VerifyConnection = func(tls.ConnectionState) error { wait(); return nil }
		},
		"WrapSession": func(c, _ *tls.Config, wait func()) {
			keys := c.Clone()
			c.WrapSession = func(state tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
				wait()
				return keys.EncryptTicket(state, s)
			}
		},
		"UnwrapSession": func(c, _ *tls.Config, wait func()) {
			keys := c.Clone()
			c.WrapSession = keys.EncryptTicket
			c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
				wait()
				return keys.DecryptTicket(ticket, state)
			}
		},
		"ClientSessionCache.Get": func(_, c *tls.Config, wait func()) {
			c.ClientSessionCache = slowCache{c.ClientSessionCache, wait}
		},
		"GetEncryptedClientHelloKeys": func(c, client *tls.Config, wait func()) {
			config, key := echConfig(1, "public.example")
			list := append(binary.BigEndian.AppendUint16(nil, uint16(len(config))), config...)
			client.MinVersion, client.EncryptedClientHelloConfigList = tls.VersionTLS13, list
			c.GetEncryptedClientHelloKeys = func(*tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
				wait()
				return []tls.EncryptedClientHelloKey{{Config: config, PrivateKey: key, SendAsRetry: true}}, nil
			}
		},
		// crypto/tls asks once more, for keys to try again with, even if the client has no ECH.
		"GetEncryptedClientHelloKeys again": func(c, client *tls.Config, wait func()) {
			client.MinVersion = tls.VersionTLS13
			c.GetEncryptedClientHelloKeys = func(*tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
				wait()
				return nil, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var armed atomic.Bool
			waits, release := make(chan struct{}), make(chan struct{})
			s, c := changed(func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }), changed(sessions)
			set(s, c, func() {
				if armed.Swap(false) { // only the first one
					close(waits)
					<-release
				}
			})
			server, client := newLayer(Config{TLS: s, Processors: 1}), newLayer(Config{TLS: c, Processors: 1})
			if _, _, err := connect(server, client); err != nil { // for a session
				t.Fatal(err)
			}
			waitFor(t, client.sessions.(*sessionCache).isIdle) // or the cache would not be asked
			armed.Store(true)
			slow := newPeers(server, client)
			slow.until(t, func() bool { return !armed.Load() })
			<-waits
			if _, _, err := connect(server, client); err != nil {
				t.Error(err)
			}
			close(release)
			slow.until(t, func() bool { done, err := slow.server.Done(); return done && err == nil })
		})
	}
}
