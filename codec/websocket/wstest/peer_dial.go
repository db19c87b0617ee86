package wstest

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Offer is what a scripted client asks for in its opening handshake.
type Offer struct {
	Subprotocols []string
	Deflate      *wsproto.Deflate // nil: no permessage-deflate
	Header       http.Header      // further header fields
}

// Dial connects to the server that is tested, and does the opening handshake as a client. The URL
// has the form ws://… or, as that of an httptest.Server, http://…. o may be nil.
func Dial(t testing.TB, url string, o *Offer) *Peer {
	t.Helper()
	opening, address := o.opening(t, url)
	p := DialRaw(t, address)
	p.open(opening)
	return p
}

// opening returns the opening handshake for a URL, and the address of the server.
func (o *Offer) opening(t testing.TB, url string) (_ *handshake.Opening, address string) {
	t.Helper()
	var opening handshake.Opening
	if o != nil {
		opening = handshake.Opening{Subprotocols: o.Subprotocols, Deflate: o.Deflate, Fields: fields(o.Header)}
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

// fields returns the fields of h in a fixed order.
func fields(h http.Header) (fields []handshake.Field) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			fields = append(fields, handshake.Field{Name: name, Value: v})
		}
	}
	return fields
}

// DialRaw connects to an address, host and port, and sends nothing. It is for tests of the opening
// handshake itself: see SendRaw and ExpectResponse.
func DialRaw(t testing.TB, address string) *Peer {
	t.Helper()
	nc, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, nc, wsproto.Client)
}

// Connect is like Dial, but uses an existing connection, such as one in memory or one with TLS.
func Connect(t testing.TB, nc net.Conn, url string, o *Offer) *Peer {
	t.Helper()
	opening, _ := o.opening(t, url)
	p := newPeer(t, nc, wsproto.Client)
	p.open(opening)
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
	_, err = handshake.ParseResponse(head, &scanned, &r, nil)
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

// head receives the head of an HTTP message, up to and including the empty line.
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

// ExpectResponse receives an HTTP response with its body, and fails the test unless it has this
// status.
func (p *Peer) ExpectResponse(status int) (r *http.Response, body string) {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(p.Timeout))
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
