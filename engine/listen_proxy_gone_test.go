package engine_test

import (
	"net"
	"net/netip"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestProxyPeerThatIsGone: the health check of a proxy that connects and resets was logged as a
// peer without an address that is not trusted, and counted as refused.
func TestProxyPeerThatIsGone(t *testing.T) {
	strangers := engine.ProxyConfig{ServeUntrusted: true,
		Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	for _, test := range []struct {
		name, header, want string
		lc                 engine.ListenConfig
	}{
		{"trusted", header4("192.0.2.1", 1), "192.0.2.1:1 203.0.113.5:443 true|hello", trusting(engine.ProxyConfig{})},
		{"served", "", "", engine.ListenConfig{Proxy: &strangers}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := listenProxy(t, engine.Config{Loops: 1}, test.lc, behindProxy)
			busy, release := make(chan bool), make(chan bool)
			if err := s.Post(0, func() { close(busy); <-release }); err != nil {
				t.Fatal(err)
			}
			receive(t, "the loop is busy", busy)
			for range 3 {
				c, err := net.Dial("tcp", s.ln.String())
				if err != nil {
					t.Fatal(err)
				}
				c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
			last := s.dial(t) // is accepted behind them
			close(release)
			want := test.want
			if test.header == "" {
				want = last.LocalAddr().String() + " " + last.RemoteAddr().String() + " false|hello"
			}
			if got := said(t, last, test.header+"hello"); got != want {
				t.Errorf("the peer reads %q, want %q", got, want)
			}
			st := stats(t, s.Engine)
			refused, log := st.Refused[engine.RefusedProxy], s.log.String()
			if refused != 0 || st.Accepted != 1 || log != "" {
				t.Errorf("%d refused, %d accepted, log %q", refused, st.Accepted, log)
			}
		})
	}
}
