package tlslayer

import (
	"io"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestAcceptBehindAHandshake: accept found the handshake as the Protocol, and a Protocol that it
// set itself was refused. Observer.Opened was called before the handshake.
func TestAcceptBehindAHandshake(t *testing.T) {
	opened := make(chan engine.Protocol, 1)
	e := run(t, engine.Config{Loops: 1, Observer: engine.Observer{
		Opened: func(c *engine.Conn) { opened <- c.Protocol() },
	}})
	addr := listen(t, e, Config{TLS: testConfig()}, func(c *engine.Conn) engine.Protocol {
		if p := c.Protocol(); p != nil {
			t.Errorf("the Protocol in accept is a %T", p)
		}
		c.SetProtocol(&echoing{conn: c})
		return nil
	})
	nc := dial(t, addr, testConfig())
	nc.Write([]byte("x"))
	if _, err := io.ReadFull(nc, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	p := <-opened
	if _, ok := p.(*echoing); !ok {
		t.Errorf("the Protocol in Observer.Opened is a %T", p)
	}
}
