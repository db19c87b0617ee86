package wstest

import (
	"bytes"
	"fmt"

	"github.com/myriadnet/myriad/wsproto"
)

// next receives a frame, and the event that it completes. want describes what the test expects, for
// failures.
func (p *Peer) next(want string) (f Frame, ev wsproto.Event) {
	p.t.Helper()
	for {
		h, n, err := wsproto.ParseHeader(p.in)
		if err != nil {
			p.t.Fatalf("wstest: want %s, got a frame that breaks a rule: %v", want, err)
		}
		if n > 0 && h.Length <= uint64(len(p.in)-n) {
			return p.frame(want, h, n)
		}
		if err := p.receive(want); err != nil {
			p.t.Fatalf("wstest: want %s, got the end of the connection%s: %v", want, p.rest(), err)
		}
	}
}

// frame takes a frame, whose header has n bytes, from what was received.
func (p *Peer) frame(want string, h wsproto.Header, n int) (f Frame, ev wsproto.Event) {
	p.t.Helper()
	size := n + int(h.Length)
	raw := bytes.Clone(p.in[:size])
	p.in = p.in[size:]
	payload := bytes.Clone(raw[n:])
	if h.Masked {
		wsproto.Mask(payload, h.Key)
	}
	f = Frame{Opcode: h.Opcode, Payload: string(payload), More: !h.Fin, RSV: h.RSV}
	ev, _, err := p.receiver.Next(raw)
	if err != nil {
		p.t.Fatalf("wstest: want %s, got %v, which breaks a rule: %v", want, f, err)
	}
	return f, ev
}

// Frame receives the next frame of any kind. Its payload is as it was sent, perhaps compressed.
func (p *Peer) Frame() Frame {
	p.t.Helper()
	f, _ := p.next("a frame")
	return f
}

// ExpectFrame receives the next frame and fails the test unless it is this one.
func (p *Peer) ExpectFrame(want Frame) {
	p.t.Helper()
	if got, _ := p.next(want.String()); got != want {
		p.t.Fatalf("wstest: want %v, got %v", want, got)
	}
}

// Message receives the next message, put together and inflated. It answers pings that come before,
// and drops pongs.
func (p *Peer) Message() (op wsproto.Opcode, data string) {
	p.t.Helper()
	return p.message("a message")
}

func (p *Peer) message(want string) (op wsproto.Opcode, data string) {
	p.t.Helper()
	for {
		switch f, ev := p.next(want); ev.Kind {
		case wsproto.EventMessage:
			return ev.Opcode, string(ev.Payload)
		case wsproto.EventPing:
			p.Send(wsproto.Pong, string(ev.Payload))
		case wsproto.EventClose:
			p.t.Fatalf("wstest: want %s, got %v", want, f)
		}
	}
}

// Expect receives the next message, as Message does, and fails the test unless it is this one.
func (p *Peer) Expect(op wsproto.Opcode, data string) {
	p.t.Helper()
	want := Frame{Opcode: op, Payload: data}
	gotOp, got := p.message(want.String())
	if gotOp == op && got == data {
		return
	}
	p.t.Fatalf("wstest: want %v, got %v%s", want, Frame{Opcode: gotOp, Payload: got}, difference(data, got))
}

// difference describes where two long messages differ.
func difference(want, got string) string {
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	if i < 20 {
		return ""
	}
	return fmt.Sprintf("; from byte %d on want %s, got %s", i, quote(want[i:]), quote(got[i:]))
}

// ExpectClose receives the next frame, fails the test unless it is a Close frame with this code
// (NoStatus for none), and returns its reason. It does not answer the frame.
func (p *Peer) ExpectClose(code wsproto.CloseCode) (reason string) {
	p.t.Helper()
	want := fmt.Sprintf("close %d", code)
	f, ev := p.next(want)
	if ev.Kind != wsproto.EventClose || ev.Code != code {
		p.t.Fatalf("wstest: want %s, got %v", want, f)
	}
	return string(ev.Payload)
}

// ExpectEnd waits until the other end has closed the connection or its half of it. Another byte
// fails the test.
func (p *Peer) ExpectEnd() {
	p.t.Helper()
	for len(p.in) == 0 {
		if p.receive("the end of the connection") != nil {
			return
		}
	}
	f, _ := p.next("the end of the connection")
	p.t.Fatalf("wstest: want the end of the connection, got %v", f)
}
