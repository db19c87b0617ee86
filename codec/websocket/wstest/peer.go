package wstest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Peer is a scripted end of a WebSocket connection, for testing the other end. It sends what the
// test says, even against the rules. What the other end sends must keep every rule of RFC 6455. If
// it does not, or is not what the test expects, the test fails (testing.TB.Fatal). All methods must
// be called by the test's own goroutine.
type Peer struct {
	// Split cuts what is sent into pieces. It gets the number of bytes that are left, and returns
	// how many the next Write sends. nil, the default, sends everything by one Write.
	Split func(left int) int
	// Timeout is how long the other end may take to do what is expected, and to take what is sent.
	// Default: 10 s.
	Timeout time.Duration
	// Request is the opening handshake of the client. Only a server's Peer has it.
	Request *http.Request
	// Response is the server's response to it, or the one that ExpectResponse has received. Only a
	// client's Peer has it.
	Response *http.Response
	// Subprotocol is the one that was agreed on, or "" for none.
	Subprotocol string
	// Deflate has the parameters of permessage-deflate that were agreed on. nil: messages are not
	// compressed.
	Deflate *wsproto.Deflate

	t        testing.TB
	nc       net.Conn
	config   wsproto.Config
	receiver wsproto.Receiver  // checks what comes
	in       []byte            // received and not looked at
	request  handshake.Request // the same as Request
}

func newPeer(t testing.TB, nc net.Conn, role wsproto.Role) *Peer {
	p := &Peer{Timeout: 10 * time.Second, t: t, nc: nc, config: wsproto.Config{
		Role:       role,
		Limits:     wsproto.Limits{MaxMessage: -1, MaxFragments: -1},
		Compressor: deflate.New(deflate.Compression{Threshold: 1}),
	}}
	p.receiver = wsproto.NewReceiver(&p.config, nil)
	t.Cleanup(func() { nc.Close() })
	return p
}

// agree takes what the opening handshake has agreed on.
func (p *Peer) agree(a handshake.Accepted) {
	p.Subprotocol, p.Deflate = a.Subprotocol, a.Deflate
	if a.Deflate != nil {
		p.receiver = wsproto.NewReceiver(&p.config, a.Deflate)
	}
}

// Underlying returns the connection that carries the WebSocket.
func (p *Peer) Underlying() net.Conn { return p.nc }

// Send sends a message or a control frame in one frame that keeps the rules.
func (p *Peer) Send(op wsproto.Opcode, payload string) {
	p.t.Helper()
	p.SendFrames(Frame{Opcode: op, Payload: payload})
}

// SendFrames sends frames by one Write, or as Split cuts them.
func (p *Peer) SendFrames(frames ...Frame) {
	p.t.Helper()
	var b []byte
	for _, f := range frames {
		b = f.Append(b, p.config.Role)
	}
	p.SendRaw(b)
}

// SendRaw sends bytes, for example half a frame, or an HTTP response.
func (p *Peer) SendRaw(b []byte) {
	p.t.Helper()
	p.nc.SetWriteDeadline(time.Now().Add(p.Timeout))
	for len(b) > 0 {
		n := len(b)
		if p.Split != nil {
			n = max(1, min(p.Split(n), n))
		}
		if _, err := p.nc.Write(b[:n]); err != nil {
			p.t.Fatalf("wstest: %d bytes cannot be sent: %v", len(b), err)
		}
		b = b[n:]
	}
}

// Compressed returns a message compressed by permessage-deflate, without reference to earlier
// messages. It does not check that compression was agreed on.
func (p *Peer) Compressed(op wsproto.Opcode, payload string) Frame {
	if payload == "" {
		return Frame{Opcode: op, Payload: "\x00", RSV: wsproto.RSV1} // RFC 7692 section 7.2.3.6
	}
	d := p.Deflate
	if d == nil {
		d = new(wsproto.Deflate)
	}
	sender := wsproto.NewSender(&p.config, d)
	f := sender.Frame(op, []byte(payload), false) // a whole message could be sent as it is
	return Frame{Opcode: op, Payload: strings.TrimSuffix(string(f.Payload), "\x00\x00\xff\xff"), RSV: wsproto.RSV1}
}

// Close does the closing handshake and closes the connection. It drops what still comes before the
// answer, which must have the same code.
func (p *Peer) Close(code wsproto.CloseCode, reason string) {
	p.t.Helper()
	p.SendFrames(CloseFrame(code, reason))
	for {
		if f, ev := p.next(fmt.Sprintf("the answer to close %d", code)); ev.Kind == wsproto.EventClose {
			if ev.Code != code {
				p.t.Fatalf("wstest: close %d was answered with %v", code, f)
			}
			p.CloseNow()
			return
		}
	}
}

// CloseNow closes the connection without a closing handshake.
func (p *Peer) CloseNow() { p.nc.Close() }

// receive receives more bytes. The error means that the connection has ended.
func (p *Peer) receive(want string) error {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(p.Timeout))
	var b [32 << 10]byte
	n, err := p.nc.Read(b[:])
	if p.in = append(p.in, b[:n]...); n > 0 {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("wstest: want %s, got nothing within %v%s", want, p.Timeout, p.rest())
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// rest describes what has come of a frame that did not come whole.
func (p *Peer) rest() string {
	if len(p.in) == 0 {
		return ""
	}
	return fmt.Sprintf(" but %d bytes: %s", len(p.in), quote(string(p.in)))
}
