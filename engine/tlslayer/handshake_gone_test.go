package tlslayer

import (
	"bytes"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// lateFlight keeps back what a client writes behind its ClientHello.
type lateFlight struct {
	net.Conn
	hello bool
	kept  bytes.Buffer
}

func (c *lateFlight) Write(b []byte) (int, error) {
	if !c.hello {
		c.hello = true
		return c.Conn.Write(b)
	}
	return c.kept.Write(b)
}

// TestGoneBeforeItsStreamIsTaken: a client sends the end of its handshake and a message in one
// segment, and resets the connection between the end of the handshake's goroutine and the turn of
// the loop that would take the result. What the handshake had been fed counted for ever, and kept
// the handshake with its tls.Conn in memory.
func TestGoneBeforeItsStreamIsTaken(t *testing.T) {
	layer := must(New(Config{TLS: testConfig()}))
	var e *engine.Engine
	var armed atomic.Bool
	done, reset := make(chan bool), make(chan bool)
	e = run(t, engine.Config{Loops: 1, Observer: engine.Observer{Worked: func(int, time.Duration) {
		if layer.Stats().HeldBytes == 0 || !armed.CompareAndSwap(true, false) {
			return
		}
		e.PostTurn(0, func() {}) // so that what is posted later waits for the next turn
		for layer.Stats().Succeeded == 0 {
			runtime.Gosched()
		}
		done <- true
		<-reset
	}}})
	ln := must(engine.ListenConfig{Layer: layer.Server()}.Listen(e, "tcp", "127.0.0.1:0",
		func(*engine.Conn) engine.Protocol {
			t.Log("the reset has come too late, so this run shows nothing")
			return nil
		}))
	nc := must(net.Dial("tcp", ln.String()))
	defer nc.Close()
	late := &lateFlight{Conn: nc}
	c := tls.Client(late, testConfig())
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte("hello"))
	armed.Store(true)
	nc.Write(late.kept.Bytes())
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the loop has not seen the message before the handshake was done")
	}
	nc.(*net.TCPConn).SetLinger(0)
	nc.Close()
	reset <- true
	waitFor(t, func() bool {
		s, err := e.Stats(t.Context())
		return err == nil && s.Accepted == 1 && s.Connections == 0
	})
	if s := layer.Stats(); s.HeldBytes != 0 || s.Open != 0 {
		t.Errorf("after the end: %+v", s)
	}
}
