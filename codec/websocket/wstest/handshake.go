package wstest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Dial opens a connection to the server that is to be tested, by its URL of the form ws://… or, as httptest.Server has it, http://….
// o is what is asked for, but for Host and Target; nil: nothing.
func Dial(t testing.TB, url string, o *handshake.Opening) *Peer {
	t.Helper()
	o, address := target(t, url, o)
	p := DialRaw(t, address)
	p.open(o)
	return p
}

// target has o ask for that URL.
func target(t testing.TB, url string, o *handshake.Opening) (_ *handshake.Opening, address string) {
	t.Helper()
	opening := handshake.Opening{}
	if o != nil {
		opening = *o
	}
	if rest, ok := strings.CutPrefix(url, "http://"); ok {
		url = "ws://" + rest
	}
	address, secure, err := opening.SetURL(url)
	if err != nil {
		t.Fatal(err)
	}
	if secure {
		t.Fatalf("wstest: %s: give the TLS connection to Connect", url)
	}
	return &opening, address
}

// DialRaw connects to an address, host and port, and says nothing: for scripts of the opening handshake, see SendRaw and
// ExpectResponse.
func DialRaw(t testing.TB, address string) *Peer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, nc, wsproto.Client)
}

// Connect is Dial over a connection that there is: in memory, or with TLS.
func Connect(t testing.TB, nc net.Conn, url string, o *handshake.Opening) *Peer {
	t.Helper()
	o, _ = target(t, url, o)
	p := newPeer(t, nc, wsproto.Client)
	p.open(o)
	return p
}

// open does a client's opening handshake.
func (p *Peer) open(o *handshake.Opening) {
	p.t.Helper()
	key := handshake.NewClientKey()
	request, err := o.AppendRequest(nil, key)
	if err != nil {
		p.t.Fatal(err)
	}
	p.SendRaw(request)
	head := p.head("the answer to the opening handshake")
	var r handshake.Response
	var scanned uint32
	_, err = handshake.ParseResponse(head, &scanned, &r, handshake.HeadLimits{})
	if err != nil {
		p.t.Fatalf("wstest: the answer to the opening handshake breaks a rule: %v", err)
	}
	accepted, err := o.Check(&r, key)
	if err != nil {
		p.t.Fatalf("wstest: opening handshake: %v; the answer is %s", err, quote(string(head)))
	}
	p.Response, _ = http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	p.agree(accepted)
}

// head receives an HTTP message up to its empty line.
func (p *Peer) head(want string) (head []byte) {
	p.t.Helper()
	for {
		if n := bytes.Index(p.in, []byte("\r\n\r\n")); n >= 0 {
			head, p.in = p.in[:n+4:n+4], p.in[n+4:]
			return head
		}
		if err := p.receive(want); err != nil {
			p.t.Fatalf("wstest: want %s, got the end of the connection%s: %v", want, p.rest(), err)
		}
	}
}

// ExpectResponse wants an HTTP response with that status. Its body is read.
func (p *Peer) ExpectResponse(status int) (r *http.Response, body string) {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(p.Patience))
	src := bufio.NewReader(io.MultiReader(bytes.NewReader(p.in), p.nc))
	r, err := http.ReadResponse(src, nil)
	if err != nil {
		p.t.Fatalf("wstest: want a response with status %d: %v", status, err)
	}
	if r.StatusCode == http.StatusSwitchingProtocols {
		p.in, _ = io.ReadAll(io.LimitReader(src, int64(src.Buffered())))
	} else {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			p.t.Fatalf("wstest: the body of a response with status %d: %v", r.StatusCode, err)
		}
		body = string(b)
	}
	if p.Response = r; r.StatusCode != status {
		p.t.Fatalf("wstest: want a response with status %d, got %d: %s", status, r.StatusCode, quote(body))
	}
	return r, body
}
