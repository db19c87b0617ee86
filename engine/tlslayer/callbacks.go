package tlslayer

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/myriadnet/myriad/engine/tlslayer/certs"
)

// The callbacks of a tls.Config may wait for a file, a database or another server. A handshake
// leaves its turn to others meanwhile. What is not a function of the Config keeps it: the key of a
// certificate, and the KeyLogWriter.

// leaveTurnIn wraps the callbacks of c, which is h's own.
func (h *handshake) leaveTurnIn(c *tls.Config) {
	pool := &h.layer.pool
	if f := c.GetCertificate; f != nil {
		c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			pool.leave(h)
			defer pool.again(h)
			return f(hello)
		}
	}
	if f := c.GetClientCertificate; f != nil {
		c.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pool.leave(h)
			defer pool.again(h)
			return f(info)
		}
	}
	if f := c.VerifyPeerCertificate; f != nil {
		c.VerifyPeerCertificate = func(raw [][]byte, chains [][]*x509.Certificate) error {
			pool.leave(h)
			defer pool.again(h)
			return f(raw, chains)
		}
	}
	if verify := h.leaveTurnToVerify(c.VerifyConnection); h.keys.client || c.ClientAuth != tls.NoClientCert {
		c.VerifyConnection = func(state tls.ConnectionState) error {
			if err := h.holdCertificates(&state); err != nil || verify == nil {
				return err
			}
			return verify(state)
		}
	} else {
		c.VerifyConnection = verify
	}
	c.EncryptedClientHelloRejectionVerify = h.leaveTurnToVerify(c.EncryptedClientHelloRejectionVerify)
	if f := c.UnwrapSession; f != nil {
		c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
			pool.leave(h)
			defer pool.again(h)
			return f(ticket, state)
		}
	}
	if f := c.WrapSession; f != nil {
		c.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
			pool.leave(h)
			defer pool.again(h)
			return f(state, session)
		}
	}
	if f := c.GetEncryptedClientHelloKeys; f != nil { // asked again; see keysForClient
		c.GetEncryptedClientHelloKeys = func(hello *tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
			pool.leave(h)
			defer pool.again(h)
			return f(hello)
		}
	}
	if cache := c.ClientSessionCache; cache != nil && h.keys.client {
		c.ClientSessionCache = &turnCache{cache, h}
	}
}

// holdCertificates counts what the peer's certificates take until the handshake ends. They may take
// far more than what was received, and the peer may stop behind them.
func (h *handshake) holdCertificates(state *tls.ConnectionState) error {
	victims, ok := h.layer.held.hold(h, certs.Held(state))
	for _, v := range victims {
		v.drop(errHeld)
	}
	if !ok {
		return errHeld
	}
	return nil
}

func (h *handshake) leaveTurnToVerify(f func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	if f == nil {
		return nil
	}
	pool := &h.layer.pool
	return func(state tls.ConnectionState) error {
		pool.leave(h)
		defer pool.again(h)
		return f(state)
	}
}

// turnCache is the cache of one handshake. Only Get is called during it; Put does not wait.
type turnCache struct {
	tls.ClientSessionCache
	handshake *handshake
}

// Get implements tls.ClientSessionCache.
func (c *turnCache) Get(key string) (*tls.ClientSessionState, bool) {
	pool := &c.handshake.layer.pool
	pool.leave(c.handshake)
	defer pool.again(c.handshake)
	return c.ClientSessionCache.Get(key)
}

// keysForClient is the GetEncryptedClientHelloKeys of base, if the user has one.
func (l *Layer) keysForClient(hello *tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) {
	h := hello.Conn.(*wire).handshake
	l.pool.leave(h)
	defer l.pool.again(h)
	return l.config.TLS.GetEncryptedClientHelloKeys(hello)
}
