package wstest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Peer is one end of a WebSocket connection that does what a test's script says, by the rules or not: for the other end, which is what
// is tested. What that sends must keep every rule of RFC 6455; it ends the test if it does not, as everything does that is not
// expected. All methods are for the test's own goroutine.
type Peer struct {
	// Split, if it is set, cuts what is sent: it is told how many bytes are left, and says how many go out by the next Write.
	Split func(left int) int
	// Patience is how long the other end may take for what is expected of it, and to take what is sent. Default: 10 s.
	Patience time.Duration
	// Request is the client's opening handshake, at a server.
	Request *http.Request
	// Response is the server's, at a client.
	Response *http.Response
	// Accepted is what was agreed on.
	Accepted handshake.Accepted

	t       testing.TB
	nc      net.Conn
	config  wsproto.Config
	session wsproto.Receiver  // judges what comes
	in      []byte            // received and not looked at
	asked   handshake.Request // Request, at a server
}

func newPeer(t testing.TB, nc net.Conn, role wsproto.Role) *Peer {
	p := &Peer{Patience: 10 * time.Second, t: t, nc: nc,
		config: wsproto.Config{Role: role, Limits: wsproto.Limits{MaxMessage: -1, MaxFragments: -1},
			Compressor: deflate.New(deflate.Compression{})}}
	p.session = wsproto.NewReceiver(&p.config, nil)
	t.Cleanup(func() { nc.Close() })
	return p
}

// agree notes what the opening handshake has agreed on.
func (p *Peer) agree(a handshake.Accepted) {
	if p.Accepted = a; a.Deflate != nil {
		p.session = wsproto.NewReceiver(&p.config, a.Deflate)
	}
}

// NetConn is the connection that the Peer stands on.
func (p *Peer) NetConn() net.Conn { return p.nc }

// Send sends a message, or a control frame, in one frame by the rules.
func (p *Peer) Send(op wsproto.Opcode, payload string) {
	p.t.Helper()
	p.SendFrames(Frame{Opcode: op, Payload: payload})
}

// SendFrames sends frames by one Write, or as Split has it.
func (p *Peer) SendFrames(frames ...Frame) {
	p.t.Helper()
	var b []byte
	for _, f := range frames {
		b = f.Append(b, p.config.Role)
	}
	p.SendRaw(b)
}

// SendRaw sends bytes.
func (p *Peer) SendRaw(b []byte) {
	p.t.Helper()
	p.nc.SetWriteDeadline(time.Now().Add(p.Patience))
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

// Compressed is a message compressed as permessage-deflate has it, without reference to those before. That it was agreed on is not
// checked.
func (p *Peer) Compressed(op wsproto.Opcode, payload string) Frame {
	p.t.Helper()
	bits := uint8(wsproto.MaxWindowBits)
	if p.Accepted.Deflate != nil {
		bits = p.Accepted.Deflate.SendBits(p.config.Role)
	}
	b, err := deflate.Append(nil, []byte(payload), nil, 1, bits)
	if err != nil {
		p.t.Fatal(err)
	}
	return Frame{Opcode: op, Payload: string(b), RSV: wsproto.RSV1}
}

// Close does the closing handshake: it sends a Close frame, drops what still comes before the answer, which must have the same code, and
// hangs up.
func (p *Peer) Close(code wsproto.CloseCode, reason string) {
	p.t.Helper()
	p.SendFrames(CloseFrame(code, reason))
	for {
		if f, ev := p.next(fmt.Sprintf("the answer to close %d", code)); ev.Kind == wsproto.EventClose {
			if ev.Code != code {
				p.t.Fatalf("wstest: close %d was answered with %v", code, f)
			}
			p.HangUp()
			return
		}
	}
}

// HangUp closes the connection without a word.
func (p *Peer) HangUp() { p.nc.Close() }

// receive adds to what was received. The error is that the connection has ended.
func (p *Peer) receive(want string) error {
	p.t.Helper()
	p.nc.SetReadDeadline(time.Now().Add(p.Patience))
	var b [32 << 10]byte
	n, err := p.nc.Read(b[:])
	if p.in = append(p.in, b[:n]...); n > 0 {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("wstest: want %s, got nothing within %v%s", want, p.Patience, p.rest())
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// rest says what there is of a frame that does not come whole.
func (p *Peer) rest() string {
	if len(p.in) == 0 {
		return ""
	}
	return fmt.Sprintf(" but %d bytes: %s", len(p.in), quote(string(p.in)))
}
