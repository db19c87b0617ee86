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

// Answer is how a scripted server accepts an opening handshake.
type Answer struct {
	Subprotocol string
	Deflate     *wsproto.Deflate  // what the server is prepared for; nil: no permessage-deflate
	Fields      []handshake.Field // further header fields
}

// Listener waits for the client that is to be tested.
type Listener struct {
	// URL is where it does, of the form ws://127.0.0.1:port.
	URL string

	t  testing.TB
	ln net.Listener
}

// Listen makes a Listener, until the test ends.
func Listen(t testing.TB) *Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &Listener{URL: "ws://" + ln.Addr().String(), t: t, ln: ln}
}

// Accept waits for a client and accepts its opening handshake, which must be one by the rules. nil: nothing that it
// asks for is agreed on.
func (l *Listener) Accept(a *Answer) *Peer {
	l.t.Helper()
	p := l.AcceptRaw()
	p.accept(a)
	return p
}

// AcceptRaw waits for a client and its request, and leaves the answer to the script: see SendRaw.
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

// Accept is Listener.Accept for a connection that there is.
func Accept(t testing.TB, nc net.Conn, a *Answer) *Peer {
	t.Helper()
	p := newPeer(t, nc, wsproto.Server)
	p.receiveRequest()
	p.accept(a)
	return p
}

// receiveRequest receives a client's request.
func (p *Peer) receiveRequest() {
	p.t.Helper()
	head := p.head("an opening handshake")
	var scanned uint32
	_, err := handshake.ParseRequest(head, &scanned, &p.asked, handshake.HeadLimits{})
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
	key, err := p.asked.CheckUpgrade()
	if err != nil {
		p.t.Fatalf("wstest: opening handshake breaks a rule: %v", err)
	}
	accepted := handshake.Accepted{Subprotocol: a.Subprotocol}
	if a.Deflate != nil {
		if d, ok := p.asked.Deflate(*a.Deflate); ok {
			accepted.Deflate = &d
		}
	}
	b, err := handshake.AppendResponse(nil, key, accepted.Subprotocol, accepted.Deflate, a.Fields)
	if err != nil {
		p.t.Fatal(err)
	}
	p.SendRaw(b)
	p.agree(accepted)
}
