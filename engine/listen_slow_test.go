package engine_test

import (
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestSlowHeadersKeepOutNoOther: some connections that sent a byte of their PROXY header in every
// turn took all that a turn reads from such connections, since the kernel always named them first.
// Nobody else's header was read. So it was with handshakes of a layer.
func TestSlowHeadersKeepOutNoOther(t *testing.T) {
	const slow, long = 8, 3000
	served := 0
	e, err := engine.NewOn(engine.Platform, engine.Config{Loops: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		e.BeginShutdown()
		for e.Step() {
		}
	}()
	turn := func() {
		e.Post(0, func() {}) // so that it does not wait for events
		e.Step()
	}
	ln, err := trusting(engine.ProxyConfig{Timeout: time.Hour}).Listen(e, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol { served++; return echoOn(c) })
	if err != nil {
		t.Fatal(err)
	}
	var all []net.Conn
	for range slow + 1 {
		c, err := net.Dial("tcp", ln.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	for n := 0; n < slow+1; n = e.StatsNow().Connections {
		turn()
	}
	tlvs := addrs("192.0.2.1:1", "203.0.113.5:443")
	tlvs.AddTLV(0xe7, make([]byte, long))
	header, other := header2(t, tlvs), all[slow]
	for i := range long {
		for _, c := range all[:slow] {
			c.Write([]byte{header[i]}) // an error shows below
		}
		if i == 1 {
			other.Write([]byte(header4("192.0.2.2", 1)))
		}
		if turn(); served > 0 {
			return
		}
	}
	t.Errorf("in %d turns the header of the last connection was not read", long)
}
