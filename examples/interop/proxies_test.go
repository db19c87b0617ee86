package interop

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// inherited listens for a program that is to inherit the socket, so that no other program can take
// the port before. The program gets it as the next ExtraFile.
func inherited(t *testing.T) (address string, f *os.File) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if f, err = ln.(*net.TCPListener).File(); err != nil {
		t.Fatal(err)
	}
	return ln.Addr().String(), f
}

// checkWebSockets has clients of several libraries talk to a site, straight or through something.
func checkWebSockets(t *testing.T, url string) {
	t.Helper()
	e := loops(t)
	for name, dial := range map[string]func(*testing.T, string) client{
		"loop": dialLoop(e, nil), "wsconn": dialWsconn(nil), "gorilla": dialGorilla(false), "gobwas": dialGobwas(false),
		"loop deflate":    dialLoop(e, &websocket.Compression{ServerTakeover: true, ClientTakeover: true}),
		"gorilla deflate": dialGorilla(true), "gobwas deflate": dialGobwas(true),
	} {
		t.Run(name, func(t *testing.T) {
			talk(t, dial(t, url))
			obey(t, dial(t, url))
		})
	}
	t.Run("close codes", func(t *testing.T) { checkCodes(t, dialGobwas(false), url, anyCode) })
}

// anyCode are codes that either end may send.
var anyCode = []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999}

// checkCodes closes with each code from either end.
func checkCodes(t *testing.T, dial func(*testing.T, string) client, url string, codes []int) {
	t.Helper()
	for _, code := range codes {
		if got, err := dial(t, url).close(code); got != code || err != nil {
			t.Errorf("closed with %d: answered with %d, %v", code, got, err)
		}
		c := dial(t, url)
		if err := c.send(true, fmt.Append(nil, doCloseWith, code)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.receive(); closeCode(err) != code {
			t.Errorf("closed by the server with %d: %v", code, err)
		}
	}
}

// checkLeaving has a client that leaves without a word, and the site hears of it.
func checkLeaving(t *testing.T, s *site, url string) {
	t.Helper()
	for what, leave := range map[string]func(*net.TCPConn){
		"half-close": func(c *net.TCPConn) { c.CloseWrite() },
		"close":      func(c *net.TCPConn) { c.Close() },
		"reset":      func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		c := dialGorilla(false)(t, url).(gorillaClient)
		c.send(true, []byte(doName+what))
		if _, _, err := c.receive(); err != nil {
			t.Fatal(err)
		}
		leave(c.NetConn().(*net.TCPConn))
		select {
		case end := <-s.closed:
			if gone := errors.Is(end.err, engine.ErrPeerClosed) || errors.Is(end.err, engine.ErrReset); !gone ||
				end.name != doName+what {
				t.Errorf("%s: %q, %v", what, end.name, end.err)
			}
		case <-time.After(patience):
			t.Errorf("the site hears nothing of a %s", what)
		}
		c.Close()
	}
}

// checkRestart ends the site and starts it anew behind a proxy.
func checkRestart(t *testing.T, s *site, front string) {
	t.Helper()
	c := dialGorilla(false)(t, "ws://"+front+"/").(gorillaClient)
	if err := c.ping(); err != nil {
		t.Fatal(err)
	}
	last := make(chan error, 1)
	go func() {
		_, _, err := c.receive()
		c.Close()
		last <- err
	}()
	s.stop()
	if err := <-last; closeCode(err) != 1001 {
		t.Errorf("the site goes: %v", err)
	}
	s.start("tcp", s.address)
	eventually(t, "WebSocket after a restart", func() bool {
		c, _, err := gorilla.DefaultDialer.Dial("ws://"+front+"/", nil)
		if err != nil {
			return false
		}
		defer c.Close()
		return gorillaClient{c}.ping() == nil
	})
}

// checkReuse wants a page and then a handshake on one connection of a proxy to the site.
func checkReuse(t *testing.T, front string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	first := peerOf(t, client, "http://"+front+"/")
	if second := peerOf(t, client, "http://"+front+"/"); second != first {
		t.Errorf("pages from %s and %s: no keep-alive", first, second)
	}
	c := dialGorilla(false)(t, "ws://"+front+"/")
	c.send(true, []byte(doTellPeer))
	if _, b, err := c.receive(); err != nil || string(b) != first {
		t.Errorf("page from %s, WebSocket from %s, %v", first, b, err)
	}
	talk(t, c)
}

// refusal is the status of the answer to a handshake.
func refusal(t *testing.T, url string, header http.Header) int {
	t.Helper()
	c, resp, err := gorilla.DefaultDialer.Dial(url, header)
	if err == nil {
		c.Close()
	}
	if resp == nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// checkReuseByClient has a page and then a handshake on one connection of a client, through
// whatever there is between.
func checkReuseByClient(t *testing.T, front string) {
	t.Helper()
	nc, err := net.Dial("tcp", front)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", front)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	d := gorilla.Dialer{NetDial: func(string, string) (net.Conn, error) { return nc, nil }}
	c, _, err := d.Dial("ws://"+front+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(patience))
	talk(t, gorillaClient{c})
}
