package tlslayer

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

func TestSelfTest(t *testing.T) {
	if err := selfTest(); err != nil {
		t.Fatal(err)
	}
}

func TestNewNeedsConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no error without a Config")
	}
	if l, err := New(Config{TLS: testConfig()}); err != nil || l.level1 {
		t.Errorf("level 1: %t, error %v", l.level1, err)
	}
}

// level returns the level of a Stream.
func level(s layer.Stream) int {
	if _, ok := s.(*records); ok {
		return 2
	}
	return 1
}

// exchange sends messages both ways, through the first tickets.
func exchange(t *testing.T, s, c layer.Stream) {
	t.Helper()
	ways := []struct {
		from layer.Stream
		to   *receiver
	}{{s, &receiver{stream: c}}, {c, &receiver{stream: s}}}
	for _, n := range []int{1, 100, 40000} {
		for _, w := range ways {
			w.to.got = nil
			w.to.feed(w.from.Seal(nil, pattern(n)))
			if w.to.err != nil || !bytes.Equal(w.to.got, pattern(n)) {
				t.Fatalf("%d of %d bytes, error %v", len(w.to.got), n, w.to.err)
			}
		}
	}
}

// TestHandshakes has both sides at level 2 with configurations that differ in what is sent with
// which key, and how often.
func TestHandshakes(t *testing.T) {
	clientCert := func(c *tls.Config) {
		c.ClientAuth = tls.RequireAndVerifyClientCert
		c.ClientCAs = c.RootCAs
	}
	for _, c := range []struct {
		name           string
		server, client func(*tls.Config)
		level          int // 0: 2
		resumed        bool
		config         func(*Config)
	}{
		{name: "plain"},
		{name: "client certificate", server: func(c *tls.Config) {
			clientCert(c)
			c.VerifyConnection = func(s tls.ConnectionState) error {
				if len(s.VerifiedChains) == 0 {
					return errors.New("not verified")
				}
				return nil
			}
		}},
		{name: "no tickets", server: func(c *tls.Config) { c.SessionTicketsDisabled = true }},
		{name: "retry", server: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.CurveP384} },
			client: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP384} }},
		{name: "X25519", server: func(c *tls.Config) { c.CurvePreferences = []tls.CurveID{tls.X25519} }},
		{name: "resumed", client: sessions, resumed: true},
		{name: "resumed with client certificate", server: clientCert, client: sessions, resumed: true},
		{name: "TLS 1.2", client: tls12},
		{name: "TLS 1.2 with client certificate", server: clientCert, client: tls12},
		{name: "TLS 1.2 resumed", client: func(c *tls.Config) { tls12(c); sessions(c) }, resumed: true, level: 1},
		{name: "TLS 1.2 with sessions, not resumed", client: func(c *tls.Config) { tls12(c); sessions(c) }},
		{name: "CBC", level: 1, server: cbc, client: cbc},
		{name: "standard", level: 1, config: func(c *Config) { c.StandardRecords = true }},
		{name: "GetConfigForClient", server: func(c *tls.Config) {
			chosen := c.Clone()
			c.Certificates = nil
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }
		}},
		{name: "GetConfigForClient without result", server: func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		}, client: sessions, resumed: true},
		{name: "GetCertificate", server: func(c *tls.Config) {
			cert := c.Certificates[0]
			c.Certificates = nil
			c.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil }
		}},
		{name: "own ticket keys", server: func(c *tls.Config) { c.SetSessionTicketKeys([][32]byte{{1}}) },
			client: sessions, resumed: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc, cc := changed(c.server), changed(c.client)
			config := Config{}
			if c.config != nil {
				c.config(&config)
			}
			config.TLS = sc
			server := newLayer(config)
			config.TLS = cc
			client := newLayer(config)
			rounds := 1
			if c.resumed {
				rounds = 3
			}
			for i := range rounds {
				var info tls.ConnectionState
				s, cl, err := connectHandshakes(server, client, func(s, c *handshake) { info = s.info })
				if err != nil {
					t.Fatal(err)
				}
				want := max(c.level, 1)
				if c.level == 0 || c.resumed && i == 0 {
					want = 2
				}
				if level(s) != want || level(cl) != want {
					t.Errorf("round %d: levels %d and %d, want %d", i, level(s), level(cl), want)
				}
				if info.DidResume != (i > 0) {
					t.Errorf("round %d: resumed: %t", i, info.DidResume)
				}
				exchange(t, s, cl)
			}
			if st := server.Stats(); st.Succeeded != uint64(rounds) || st.Open != 0 || st.HeldBytes != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// changed returns a clone of the test's configuration, changed by f if there is one.
func changed(f func(*tls.Config)) *tls.Config {
	c := testConfig().Clone()
	if f != nil {
		f(c)
	}
	return c
}

func tls12(c *tls.Config)    { c.MaxVersion = tls.VersionTLS12 }
func sessions(c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(4) }

func cbc(c *tls.Config) {
	tls12(c)
	c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
}

// TestHandshakesFail has the errors of crypto/tls reach the caller, and the alert the peer.
func TestHandshakesFail(t *testing.T) {
	for _, c := range []struct {
		name           string
		server, client func(*tls.Config)
		want           string
	}{
		{"version", func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, tls12, "protocol version"},
		{"ALPN", func(c *tls.Config) { c.NextProtos = []string{"a"} },
			func(c *tls.Config) { c.NextProtos = []string{"b"} }, "no application protocol"},
		{"unknown authority", nil, func(c *tls.Config) { c.RootCAs = x509.NewCertPool() }, "unknown authority"},
		{"no client certificate", func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert },
			func(c *tls.Config) { c.Certificates = nil }, "certificate"},
		{"GetConfigForClient", func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
				return nil, errors.New("not today")
			}
		}, nil, "not today"},
		{"panic", func(c *tls.Config) {
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("oops") }
		}, nil, "oops"},
	} {
		t.Run(c.name, func(t *testing.T) {
			sc, cc := changed(c.server), changed(c.client)
			server, client := newLayer(Config{TLS: sc}), newLayer(Config{TLS: cc})
			_, _, err := connect(server, client)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			waitFor(t, func() bool { return idle(server) && idle(client) })
		})
	}
}

// idle reports whether nothing of a handshake is left in l.
func idle(l *Layer) bool {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	s := l.Stats()
	return s.Open == 0 && s.HeldBytes == 0 && l.pool.begun == 0 && l.pool.running == 0 &&
		len(l.pool.ready) == 0 && l.pool.fresh.n == 0
}

// TestKeyLogOfUser checks that the user's KeyLogWriter still gets everything.
func TestKeyLogOfUser(t *testing.T) {
	var log bytes.Buffer
	c := testConfig().Clone()
	c.KeyLogWriter = &log
	if _, _, err := connect(newLayer(Config{TLS: c}), newLayer(Config{TLS: testConfig()})); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(log.Bytes(), []byte("\n")); n != 4 {
		t.Errorf("%d lines of 4:\n%s", n, &log)
	}
}

// TestTicketsAreKept checks that a client keeps a ticket that comes with, before and after others,
// and forgets the tls.Conn that keeps it with the first data.
func TestTicketsAreKept(t *testing.T) {
	var puts atomic.Int32
	sc, cc := testConfig().Clone(), testConfig().Clone()
	// The ticket comes after the handshake then.
	sc.ClientAuth, sc.ClientCAs = tls.RequireAndVerifyClientCert, sc.RootCAs
	cc.ClientSessionCache = countingCache{tls.NewLRUClientSessionCache(4), &puts}
	s, c, err := connect(newLayer(Config{TLS: sc}), newLayer(Config{TLS: cc}))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return puts.Load() > 0 }) // by another goroutine
	r := c.(*records)
	if r.extra.tickets == nil {
		t.Error("further tickets would not be kept")
	}
	exchange(t, s, c)
	if r.extra != nil {
		t.Error("the tls.Conn of the handshake is still there")
	}
	if n := puts.Load(); n != 1 {
		t.Errorf("%d tickets were kept", n)
	}
}

type countingCache struct {
	tls.ClientSessionCache
	puts *atomic.Int32
}

func (c countingCache) Put(key string, s *tls.ClientSessionState) {
	c.puts.Add(1)
	c.ClientSessionCache.Put(key, s)
}

// TestBytesBehindTheHandshake has a client send data with the last bytes of its handshake.
func TestBytesBehindTheHandshake(t *testing.T) {
	for _, id := range []uint16{0, testSuites[1].id} {
		l := newLayer(Config{TLS: suiteConfig(id)})
		p := newPeers(l, l)
		p.until(t, func() bool { done, _ := p.client.Done(); return done })
		c, _, rest := p.client.take(newLoop(2, 2))
		toServer := c.SealEnd(c.Seal(p.client.Output(p.toServer), pattern(40000)))
		n, err := p.server.Feed(toServer)
		if err != nil {
			t.Fatal(err)
		}
		p.toServer = toServer[n:]
		for done := false; !done; {
			done, err = p.server.Done()
			if !done {
				<-p.notified
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		p.toClient = p.server.Output(p.toClient)
		s, _, early := p.server.take(newLoop(2, 2))
		r := receiver{stream: s}
		r.feed(append(early, p.toServer...))
		if r.err != io.EOF || !bytes.Equal(r.got, pattern(40000)) {
			t.Errorf("suite %#x: %d bytes, error %v", id, len(r.got), r.err)
		}
		if err := takeRest(c, append(rest, p.toClient...)); err != nil {
			t.Error(err)
		}
	}
}
