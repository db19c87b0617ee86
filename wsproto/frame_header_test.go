package wsproto_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/wsproto"
)

func gobwasHeader(h wsproto.Header) ws.Header {
	g := ws.Header{Fin: h.Fin, Rsv: h.RSV, OpCode: ws.OpCode(h.Opcode), Masked: h.Masked, Length: int64(h.Length)}
	if h.Masked {
		g.Mask = [4]byte{byte(h.Key), byte(h.Key >> 8), byte(h.Key >> 16), byte(h.Key >> 24)}
	}
	return g
}

func TestHeadersAgainstGobwas(t *testing.T) {
	for _, length := range []uint64{0, 1, 125, 126, 127, 65535, 65536, 1 << 32, 1<<63 - 1} {
		for bits := range 256 {
			for _, masked := range []bool{false, true} {
				h := wsproto.Header{Fin: bits&0x80 != 0, RSV: byte(bits >> 4 & 7), Opcode: wsproto.Opcode(bits & 15),
					Masked: masked, Length: length}
				if masked {
					h.Key = 0xDEADBEEF
				}
				var want bytes.Buffer
				if err := ws.WriteHeader(&want, gobwasHeader(h)); err != nil {
					t.Fatal(err)
				}
				got := wsproto.AppendHeader(nil, h)
				if !bytes.Equal(got, want.Bytes()) {
					t.Fatalf("%+v: % x, gobwas has % x", h, got, want.Bytes())
				}
				for cut := range got {
					if _, n, err := wsproto.ParseHeader(got[:cut]); n != 0 || err != nil {
						t.Fatalf("% x cut at %d: %d, %v", got, cut, n, err)
					}
				}
				if back, n, err := wsproto.ParseHeader(append(got, 1, 2)); back != h || n != len(got) || err != nil {
					t.Fatalf("% x is read as %+v, %d, %v", got, back, n, err)
				}
			}
		}
	}
}

// TestCheckHeaderAgainstGobwas compares the verdicts about every header that the rules can tell
// apart.
func TestCheckHeaderAgainstGobwas(t *testing.T) {
	for bits := range 1 << 12 {
		h := wsproto.Header{Opcode: wsproto.Opcode(bits & 15), RSV: byte(bits >> 4 & 7), Fin: bits&0x80 != 0,
			Masked: bits&0x100 != 0, Length: 125}
		if bits&0x200 != 0 {
			h.Length = 126
		}
		s, g := wsproto.State{Receiver: wsproto.Client}, ws.StateClientSide
		if bits&0x400 != 0 {
			s.Receiver, g = wsproto.Server, ws.StateServerSide
		}
		if bits&0x800 != 0 {
			s.InMessage, g = true, g.Set(ws.StateFragmented)
		}
		got, want := wsproto.CheckHeader(h, s), ws.CheckHeader(gobwasHeader(h), g)
		if (got == nil) != (want == nil) {
			t.Errorf("%+v in %+v: %v, gobwas says %v", h, s, got, want)
		}
	}
}

func TestCheckHeaderWithDeflate(t *testing.T) {
	s := wsproto.State{Receiver: wsproto.Client, Deflate: true}
	for op := range wsproto.Opcode(16) {
		for rsv := range byte(8) {
			s.InMessage = op == wsproto.Continuation
			err := wsproto.CheckHeader(wsproto.Header{Fin: true, Opcode: op, RSV: rsv}, s)
			known := op <= wsproto.Binary || op >= wsproto.Close && op <= wsproto.Pong
			allowed := known && (rsv == 0 || rsv == wsproto.RSV1 && (op == wsproto.Text || op == wsproto.Binary))
			if (err == nil) != allowed {
				t.Errorf("opcode %v, RSV %d: %v", op, rsv, err)
			}
		}
	}
}

func TestAppendFrameAndMasked(t *testing.T) {
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		payload := bytes.Repeat([]byte("x"), n)
		frame := wsproto.AppendFrame([]byte("before"), wsproto.Text, payload)
		if want := ws.MustCompileFrame(ws.NewTextFrame(payload)); !bytes.Equal(frame,
			append([]byte("before"), want...)) {
			t.Errorf("AppendFrame of %d bytes", n)
		}
		if size := wsproto.FrameSize(n); size != len(frame)-len("before") {
			t.Errorf("FrameSize(%d) is %d", n, size)
		}
		masked := wsproto.AppendMasked(nil, wsproto.Binary, 0x04030201, payload)
		if want := ws.MustCompileFrame(ws.MaskFrameWith(ws.NewBinaryFrame(payload),
			[4]byte{1, 2, 3, 4})); !bytes.Equal(masked, want) {
			t.Errorf("AppendMasked of %d bytes", n)
		}
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x81, 0x85, 1, 2, 3, 4})
	f.Add([]byte{0x82, 126, 0, 125})
	f.Add([]byte{0x82, 255, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := wsproto.ParseHeader(b)
		want, gobwasErr := ws.ReadHeader(bytes.NewReader(b))
		switch {
		case err != nil: // gobwas takes any form of the length but the negative one
			if len(b) < 4 || b[1]&0x7F < 126 {
				t.Fatalf("% x: %v", b, err)
			}
		case n == 0:
			if gobwasErr == nil {
				t.Fatalf("% x: incomplete, gobwas has %+v", b, want)
			}
		case gobwasErr != nil || gobwasHeader(h) != want:
			t.Fatalf("% x: %+v, gobwas has %+v, %v", b, h, want, gobwasErr)
		case !bytes.Equal(wsproto.AppendHeader(nil, h), b[:n]):
			t.Fatalf("% x: encoded again % x", b[:n], wsproto.AppendHeader(nil, h))
		}
	})
}

func TestCloseCodes(t *testing.T) {
	for code := range 1 << 16 {
		want := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
		payload := wsproto.AppendClose(nil, wsproto.CloseCode(code), "why")
		got, reason, err := wsproto.ParseClose(payload)
		if code == 1005 {
			if len(payload) > 0 || got != wsproto.NoStatus || err != nil {
				t.Errorf("1005: % x, %d, %v", payload, got, err)
			}
			continue
		}
		if (err == nil) != want || want && (int(got) != code || string(reason) != "why") {
			t.Errorf("%d: %d %q, %v", code, got, reason, err)
		}
		if err != nil {
			wantError(t, err, wsproto.ProtocolFault, "7.4.1")
		}
	}
}

func TestCloseReason(t *testing.T) {
	_, _, err := wsproto.ParseClose([]byte{3})
	wantError(t, err, wsproto.ProtocolFault, "5.5.1")
	_, _, err = wsproto.ParseClose([]byte("\x03\xE8bad \xFF"))
	wantError(t, err, wsproto.InvalidPayload, "5.5.1")
	for _, c := range []struct{ name, reason, want string }{
		{name: "short", reason: "bye", want: "bye"},
		{name: "just fits", reason: strings.Repeat("x", 123), want: strings.Repeat("x", 123)},
		{name: "cut", reason: strings.Repeat("x", 124), want: strings.Repeat("x", 123)},
		{name: "cut at a character", reason: strings.Repeat("x", 122) + "ä", want: strings.Repeat("x", 122)},
		{name: "cut at a long character", reason: strings.Repeat("x", 120) + "\U0001F600",
			want: strings.Repeat("x", 120)},
		{name: "not UTF-8", reason: "\xFF"},
	} {
		b := wsproto.AppendClose(nil, 1000, c.reason)
		if len(b) > wsproto.MaxControl || string(b[2:]) != c.want || !utf8.Valid(b[2:]) {
			t.Errorf("%s: %q", c.name, b)
		}
	}
}

func TestOpcodeStrings(t *testing.T) {
	got := fmt.Sprint(wsproto.Continuation, wsproto.Text, wsproto.Binary, wsproto.Close, wsproto.Ping, wsproto.Pong,
		wsproto.Opcode(3))
	if got != "continuation text binary close ping pong reserved opcode 0x3" {
		t.Error(got)
	}
}
