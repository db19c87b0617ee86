package differential

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/wsproto"
)

// gobwas takes lengths in any form, and close codes without an upper bound. It does not know the
// codes that came later.
var gobwasLaxer = []difference{
	{"payload length is not in its shortest form", "RFC 6455 section 5.2: the minimal number of bytes MUST be used",
		"82 FE 0001 00000000 41"},
	{"close code ([5-9][0-9]{3}|[0-9]{5}) may not be sent", "RFC 6455 section 7.4.2: codes end at 4999",
		"88 82 00000000 1388"},
}

var gobwasStricter = []difference{
	{"status code is not defined in spec", "RFC 6455 section 7.4.2: 1012, 1013 and 1014 are in IANA's registry",
		"88 82 00000000 03F5"},
}

// gobwas is what its Reader makes of the input.
func gobwas(client bool, input []byte) (o outcome) {
	r := wsutil.NewServerSideReader(bytes.NewReader(input))
	if client {
		r = wsutil.NewClientSideReader(bytes.NewReader(input))
	}
	r.CheckUTF8 = true
	r.OnIntermediate = func(h ws.Header, body io.Reader) error { return o.control(h, body) }
	for {
		h, err := r.NextFrame()
		if err == nil && h.OpCode.IsControl() && !r.State.Fragmented() {
			err = o.control(h, r)
		} else if err == nil && !h.OpCode.IsControl() {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				o.add(map[ws.OpCode]string{ws.OpText: "text", ws.OpBinary: "binary"}[h.OpCode], b)
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errClosed):
			return o
		case err != nil:
			o.err = err
			return o
		}
	}
}

var errClosed = errors.New("a Close frame")

// control takes a control frame, as wsutil.ControlHandler does, and answers nothing.
func (o *outcome) control(h ws.Header, body io.Reader) error {
	b := make([]byte, h.Length) // 125 at most: that was checked
	if _, err := io.ReadFull(body, b); err != nil {
		return io.ErrUnexpectedEOF // not io.EOF: that would be the end of the message around it
	}
	switch h.OpCode {
	case ws.OpPing:
		o.add("ping", b)
	case ws.OpPong:
		o.add("pong", b)
	case ws.OpClose:
		code, reason := ws.ParseCloseFrameData(b)
		if len(b) == 0 {
			code = ws.StatusNoStatusRcvd
		} else if err := ws.CheckCloseFrameData(code, reason); err != nil {
			return err
		}
		o.events = append(o.events, closed(int(code), reason))
		return errClosed
	}
	return nil
}

func FuzzReceiverAgainstGobwas(f *testing.F) {
	seeds(func(input []byte, client, _ bool) { f.Add(input, client) })
	f.Fuzz(func(t *testing.T, input []byte, client bool) {
		role := wsproto.Server
		if client {
			role = wsproto.Client
		}
		compare(t, ours(role, false, bytes.Clone(input)), gobwas(client, bytes.Clone(input)), gobwasLaxer,
			gobwasStricter, nil)
	})
}

func TestGobwasDifferences(t *testing.T) {
	testDifferences(t, func(_ bool, input []byte) outcome { return gobwas(false, input) }, gobwasLaxer, gobwasStricter,
		nil)
}
