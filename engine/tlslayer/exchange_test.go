package tlslayer

import (
	"crypto/tls"
	"testing"
)

// TestKeyExchanges has both sides at level 2 with each group, certificate and version.
func TestKeyExchanges(t *testing.T) {
	for name, config := range map[string]*tls.Config{"ECDSA": testConfig(), "RSA": rsaConfig(t)} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, group := range []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.X25519, tls.CurveP256,
				tls.CurveP384, tls.CurveP521} {
				hybrid := group == tls.X25519MLKEM768 || group == tls.SecP256r1MLKEM768
				if hybrid && version == tls.VersionTLS12 {
					continue
				}
				c := config.Clone()
				c.CurvePreferences, c.MaxVersion = []tls.CurveID{group}, version
				c.InsecureSkipVerify = true
				var info tls.ConnectionState
				l := newLayer(Config{TLS: c})
				s, cl, err := connectHandshakes(l, l, func(s, _ *handshake) { info = s.info })
				if err != nil {
					t.Errorf("%s, %s, %v: %v", name, tls.VersionName(version), group, err)
					continue
				}
				if level(s) != 2 || level(cl) != 2 || info.Version != version || info.CurveID != group {
					t.Errorf("%s, %s, %v: levels %d and %d, %s, %v", name, tls.VersionName(version), group, level(s),
						level(cl), tls.VersionName(info.Version), info.CurveID)
				}
				exchange(t, s, cl)
			}
		}
	}
}

// TestHybridByDefault: crypto/tls prefers the hybrid of X25519 and ML-KEM, and the layer leaves it
// at that.
func TestHybridByDefault(t *testing.T) {
	l := newLayer(Config{TLS: testConfig()})
	_, _, err := connectHandshakes(l, l, func(s, _ *handshake) {
		if s.info.CurveID != tls.X25519MLKEM768 {
			t.Errorf("the key exchange is %v", s.info.CurveID)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
