package soak

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// greeting is the Protocol of a TCP connection until it has got a line that says what to do.
type greeting struct {
	g *generation
	c *engine.Conn
}

func (g *generation) greet(c *engine.Conn) engine.Protocol { return &greeting{g, c} }

func (p *greeting) Feed(src []byte) (int, error) {
	line, _, whole := bytes.Cut(src, []byte("\n"))
	if !whole {
		return 0, nil
	}
	echo := &echoing{g: p.g, c: p.c, mode: string(line)}
	p.c.SetProtocol(echo)
	switch echo.mode {
	case "timer":
		p.c.AfterFunc(time.Millisecond, func() { panic("timer") })
	case "post":
		p.c.Handle().Post(func(*engine.Conn) { panic(nil) })
	case "release, panic":
		p.g.release(p.c, len(line)+1) // which this Feed does not consume
		panic("after Release")
	}
	return len(line) + 1, nil
}

func (p *greeting) Closed(error) {}

// echoing sends back what it gets.
type echoing struct {
	g     *generation
	c     *engine.Conn
	mode  string
	feeds int
}

func (p *echoing) Feed(src []byte) (int, error) {
	switch p.mode {
	case "feed":
		panic("Feed")
	case "exit":
		runtime.Goexit()
	case "error":
		return 0, wildError()
	}
	p.feeds++
	n := len(src)
	if p.feeds%5 == 0 { // the rest later
		n /= 2
		p.c.PauseRead()
		p.c.Handle().Post(func(c *engine.Conn) { c.ResumeRead() })
	}
	p.c.Write(src[:n])
	if p.mode == "release" && p.feeds == 3 {
		p.g.release(p.c, 0)
	}
	return n, nil
}

func (p *echoing) ReadClosed() {
	if p.mode == "half" {
		panic("ReadClosed")
	}
	p.c.Close()
}

func (p *echoing) Closed(error) {
	if p.mode == "closed" {
		panic("Closed")
	}
}

// release takes a connection out of the engine. A goroutine echoes for a while what follows the
// first skip bytes, and gives it back if that is possible.
func (g *generation) release(c *engine.Conn, skip int) {
	g.helpers.Add(1)
	err := c.Release(func(nc net.Conn, unread, unsent []byte, err error) {
		if err != nil {
			g.fault("Release", err)
			g.helpers.Done()
			return
		}
		go g.echoReleased(nc, unread[skip:], unsent)
		panic("in take")
	})
	if err != nil {
		g.helpers.Done()
	}
}

func (g *generation) echoReleased(nc net.Conn, unread, unsent []byte) {
	defer g.helpers.Done()
	nc.SetDeadline(time.Now().Add(patience))
	nc.Write(unsent) // errors show at the peer
	nc.Write(unread)
	b := make([]byte, 5000)
	for range 3 {
		n, err := nc.Read(b)
		nc.Write(b[:n])
		if err != nil {
			break
		}
	}
	nc.SetDeadline(time.Time{})
	if _, ok := nc.(*net.TCPConn); ok && g.eng.Adopt(nc, nil, func(c *engine.Conn) engine.Protocol {
		return &echoing{g: g, c: c}
	}) == nil {
		g.happened("return of a released connection")
		return
	}
	nc.SetDeadline(time.Now().Add(patience))
	io.Copy(nc, nc)
	nc.Close()
}
