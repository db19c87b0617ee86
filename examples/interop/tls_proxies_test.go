package interop

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	coder "github.com/coder/websocket"

	"github.com/myriadnet/myriad/engine/tlslayer"
)

// x509Pool has the authority.
func x509Pool(t *testing.T) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(identityFile("authority"))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatal("no authority: ", err)
	}
	return pool
}

// stalls returns how many responses a proxy may forget the end of. HAProxy 2.6.12 has read all that
// the server sent, keeps the last bytes of a record of TLS and waits for more: one response of a
// megabyte in a hundred that are the first ones of a process. It does so before net/http alone as
// well: see decision 0021.
func stalls(proxy string) int {
	if strings.HasPrefix(proxy, "HAProxy") {
		return 1
	}
	return 0
}

// TestTLSBackends: nginx and HAProxy talk TLS to a site, and resume their sessions.
func TestTLSBackends(t *testing.T) {
	const nginxTLS = `proxy_ssl_protocols TLSv1.2 TLSv1.3; `
	fronts := map[string]func(t *testing.T, s *site) string{
		"nginx": func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `http { `+upgradeMap+` server { listen FRONT;
				location / { proxy_pass https://BACK; `+nginxTLS+upgradeHeaders+` } } }`)
			return front
		},
		"nginx with certificates": func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `http { `+upgradeMap+` server { listen FRONT;
				location / { proxy_pass https://BACK; `+nginxTLS+upgradeHeaders+`
				proxy_ssl_verify on; proxy_ssl_trusted_certificate `+identityFile("authority")+`;
				proxy_ssl_certificate `+identityFile("client")+`; proxy_ssl_certificate_key `+identityFile("client")+`;
				proxy_ssl_server_name on; proxy_ssl_name localhost; } } }`)
			return front
		},
		"nginx stream": func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `stream { server { listen FRONT; proxy_pass BACK; proxy_ssl on; `+nginxTLS+` } }`)
			return front
		},
		"HAProxy": func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, "mode http\noption httpchk\nserver a SITE ssl verify none")
			return front
		},
		"HAProxy with certificates": func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, "mode http\noption httpchk\nserver a SITE ssl verify required "+
				"ca-file "+identityFile("authority")+" crt "+identityFile("client"))
			return front
		},
		"HAProxy tcp": func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, "mode tcp\nserver a SITE ssl verify none")
			return front
		},
	}
	for _, ts := range slices.Concat(fewTLSServers, tlsServers[4:]) {
		for name, front := range fronts {
			t.Run(ts.name+" "+name, func(t *testing.T) {
				certified := strings.Contains(name, "certificates")
				s := newTLSSite(t, takeover, ts, func(c *tls.Config) {
					if certified {
						c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509Pool(t)
					}
				})
				front := front(t, s)
				checkPagesBehind(t, "http://"+front, stalls(name))
				talk(t, dialGorilla(true)(t, "ws://"+front+"/"))
				talk(t, dialCoder(coder.CompressionDisabled)(t, "ws://"+front+"/"))
				obey(t, dialGobwas(true)(t, "ws://"+front+"/"))
				checkLeaving(t, s, "ws://"+front+"/")
				evil := http.Header{"Origin": {"http://evil.example"}}
				if status := refusal(t, "ws://"+front+"/", evil); status != 403 {
					t.Errorf("a page of others: status %d", status)
				}
				s.mu.Lock()
				for _, state := range s.states {
					if n := len(state.VerifiedChains); (n > 0) != certified {
						t.Errorf("%d chains of the client are verified", n)
					}
				}
				s.mu.Unlock()
				s.checkStates(t, ts.version, true)
				checkRestart(t, s, front)
			})
		}
	}
}

// TestTLSOurClients: the client that blocks and the one on the loops, with TLS servers: nginx and
// HAProxy in front of a site, and net/http. The loops' client resumes its sessions.
func TestTLSOurClients(t *testing.T) {
	type endTLS func(t *testing.T, s *site, version uint16, id string) (front string)
	protocol := map[uint16]string{tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}
	authority := identityFile("authority")
	nginxWith := func(more string) endTLS {
		return func(t *testing.T, s *site, version uint16, id string) string {
			own := identityFile(id)
			front, _ := nginx(t, s, `http { `+upgradeMap+` server { listen FRONT ssl; ssl_session_cache shared:a:1m;
				ssl_protocols `+protocol[version]+`; ssl_certificate `+own+`; ssl_certificate_key `+own+`; `+more+`
				location / { proxy_pass http://BACK; `+upgradeHeaders+` } } }`)
			return front
		}
	}
	haproxyWith := func(more, mode string) endTLS {
		return func(t *testing.T, s *site, version uint16, id string) string {
			p := protocol[version]
			front, _, _ := haproxy(t, s, "BIND ssl crt "+identityFile(id)+" ssl-min-ver "+p+" ssl-max-ver "+p+more+
				"\nmode "+mode+"\nserver a SITE")
			return front
		}
	}
	for name, start := range map[string]endTLS{
		"nginx": nginxWith(""),
		"nginx that asks for certificates": nginxWith("ssl_verify_client on; ssl_client_certificate " +
			authority + ";"),
		"HAProxy":                                haproxyWith("", "http"),
		"HAProxy tcp that asks for certificates": haproxyWith(" verify required ca-file "+authority, "tcp"),
		"net/http": func(t *testing.T, _ *site, version uint16, id string) string {
			server := httptest.NewUnstartedServer(gorillaServer(true))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{identity(id)}, MaxVersion: version,
				ClientAuth: tls.RequireAnyClientCert}
			server.StartTLS()
			t.Cleanup(server.Close)
			return strings.TrimPrefix(server.URL, "https://")
		},
	} {
		for _, ts := range tlsServers[:4] {
			t.Run(ts.name+" "+name, func(t *testing.T) {
				checkOurClients(t, start(t, newSite(t, takeover), ts.version, ts.identity), ts.version)
			})
		}
	}
}

func checkOurClients(t *testing.T, front string, version uint16) {
	t.Helper()
	url := "wss://" + front + "/"
	for _, dial := range []func(*testing.T, string) client{dialWsconn(nil), dialWsconn(takeover)} {
		talk(t, dial(t, url))
		obey(t, dial(t, url))
	}
	e := loops(t)
	for _, standard := range []bool{false, true} {
		layer, err := tlslayer.New(tlslayer.Config{TLS: clientConfig(), StandardRecords: standard})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			talk(t, dialLoopTLS(e, nil, layer)(t, url))
			obey(t, dialLoopTLS(e, takeover, layer)(t, url))
		}
		stats := layer.Stats()
		want := tlslayer.Stats{Begun: 4, Succeeded: 4, Resumed: 3, TLS12: stats.TLS12, Standard: stats.Standard}
		if stats != want || (stats.TLS12 == 4) != (version == tls.VersionTLS12) {
			t.Errorf("standard %t: %+v", standard, stats)
		}
	}
}
