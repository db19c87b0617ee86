package wstest

import (
	"bufio"
	"bytes"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Answer is what a scripted server answers to an opening handshake that it accepts.
type Answer struct {
	Subprotocol string
	Deflate     *wsproto.Deflate // what the server accepts; nil: no permessage-deflate
	Header      http.Header      // further header fields
}

// Listener waits for the client that is tested.
type Listener struct {
	// URL is the URL for the client, of the form ws://127.0.0.1:port.
	URL string

	t  testing.TB
	ln net.Listener
}

// Listen returns a Listener on a port of the loopback interface, which is closed when the test
// ends.
func Listen(t testing.TB) *Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &Listener{URL: "ws://" + ln.Addr().String(), t: t, ln: ln}
}

// Accept waits for a client and accepts its opening handshake. If a is nil, it agrees to nothing
// that the client offers.
func (l *Listener) Accept(a *Answer) *Peer {
	l.t.Helper()
	p := l.AcceptRaw()
	p.accept(a)
	return p
}

// AcceptRaw waits for a client and its request, and sends nothing. The test sends the response by
// SendRaw.
func (l *Listener) AcceptRaw() *Peer {
	l.t.Helper()
	l.ln.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	nc, err := l.ln.Accept()
	if err != nil {
		l.t.Fatalf("wstest: no client: %v", err)
	}
	p := newPeer(l.t, nc, wsproto.Server)
	p.receiveRequest()
	return p
}

// Accept is like Listener.Accept, but uses an existing connection.
func Accept(t testing.TB, nc net.Conn, a *Answer) *Peer {
	t.Helper()
	p := newPeer(t, nc, wsproto.Server)
	p.receiveRequest()
	p.accept(a)
	return p
}

// receiveRequest receives a request, which must keep the rules.
func (p *Peer) receiveRequest() {
	p.t.Helper()
	head := p.head("an opening handshake")
	var scanned uint32
	_, err := handshake.ParseRequest(head, &scanned, &p.request, nil)
	if err == nil {
		p.Request, err = http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	}
	if err != nil {
		p.t.Fatalf("wstest: want an opening handshake, got %s: %v", quote(string(head)), err)
	}
}

// accept answers the request.
func (p *Peer) accept(a *Answer) {
	p.t.Helper()
	if a == nil {
		a = new(Answer)
	}
	key, err := p.request.CheckUpgrade()
	if err != nil {
		p.t.Fatalf("wstest: opening handshake breaks a rule: %v", err)
	}
	accepted := handshake.Accepted{Subprotocol: a.Subprotocol}
	if a.Deflate != nil {
		if d, ok := p.request.Deflate(*a.Deflate); ok {
			accepted.Deflate = &d
		}
	}
	b, err := handshake.AppendResponse(nil, key, accepted.Subprotocol, accepted.Deflate, fields(a.Header))
	if err != nil {
		p.t.Fatal(err)
	}
	p.SendRaw(b)
	p.agree(accepted)
}
