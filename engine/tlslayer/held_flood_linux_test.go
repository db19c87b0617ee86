package tlslayer

import (
	"net"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestBeginningsOfHellosKeepOutNobody: peers with an address each that sent a bit less than a whole
// ClientHello, and then nothing, took all of MaxHandshakeBytes. None of them held more than another
// client needed, so for HandshakeTimeout nobody else was let in.
func TestBeginningsOfHellosKeepOutNobody(t *testing.T) {
	const limit = 64 << 10
	l := must(New(Config{TLS: testConfig(), MaxHandshakeBytes: limit}))
	e := run(t, engine.Config{Loops: 1})
	ln := must(engine.ListenConfig{Layer: l.Server()}.Listen(e, "tcp", "127.0.0.1:0",
		func(c *engine.Conn) engine.Protocol { return &echoing{conn: c} }))
	part := hello(t)
	part = part[:len(part)*3/4]
	for i := range limit / len(part) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i))}, Timeout: 10 * time.Second}
		c := must(d.Dial("tcp", ln.Addr().String()))
		defer c.Close()
		must(c.Write(part))
	}
	waitFor(t, func() bool { return int(l.Stats().HeldBytes) > limit-len(part) })
	for range 3 {
		c := dial(t, ln.Addr().String(), testConfig())
		must(c.Write([]byte("x")))
		must(c.Read(make([]byte, 1)))
		c.Close()
	}
}
