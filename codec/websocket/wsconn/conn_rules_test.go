package wsconn_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestWrongUse of what sends fails without a word to the peer.
func TestWrongUse(t *testing.T) {
	c, p := wstest.Server(t, nil)
	for _, op := range []wsconn.Opcode{wsproto.Continuation, wsproto.Close, wsproto.Ping, 3} {
		if err := c.Write(deadline(t), op, nil); err == nil {
			t.Errorf("a message with opcode %v is sent", op)
		}
	}
	for _, code := range []wsconn.CloseCode{0, 999, 1004, 1006, 1015, 2999, 5000} {
		if err := c.Close(code, ""); err == nil {
			t.Errorf("close code %d is sent", code)
		}
	}
	if err := c.Write(deadline(t), wsconn.Text, []byte("fine")); err != nil {
		t.Fatal(err)
	}
	p.Expect(wsproto.Text, "fine")
}

// TestRulesAreKept: what breaks a rule is answered with its code, told to Read, and the end.
func TestRulesAreKept(t *testing.T) {
	long := strings.Repeat("x", 1001)
	limits := wsconn.Limits{MaxMessage: 1000, MaxFrame: 800, MaxFragments: 3, CloseTimeout: -1}
	for _, test := range []struct {
		name   string
		frames []wstest.Frame
		code   wsconn.CloseCode
	}{
		{name: "mask", frames: []wstest.Frame{{Opcode: wsproto.Text, WrongMask: true}}, code: 1002},
		{name: "reserved opcode", frames: []wstest.Frame{{Opcode: 3}}, code: 1002},
		{name: "reserved bit", frames: []wstest.Frame{{Opcode: wsproto.Text, RSV: 2}}, code: 1002},
		{name: "compression that was not agreed on", frames: []wstest.Frame{{Opcode: wsproto.Text, RSV: 4}},
			code: 1002},
		{name: "long form of a length", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: "a", LengthBytes: 2}},
			code: 1002},
		{name: "no text", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: "\xff"}}, code: 1007},
		{name: "too big", frames: []wstest.Frame{{Opcode: wsproto.Text, Length: 1 << 40}}, code: 1009},
		{name: "too big in sum",
			frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: long[:600], More: true}, {Payload: long[:600]}},
			code:   1009},
		{name: "frame too big", frames: []wstest.Frame{{Opcode: wsproto.Text, Payload: long[:801]}}, code: 1009},
		{name: "too many fragments",
			frames: []wstest.Frame{{Opcode: wsproto.Text, More: true}, {More: true}, {More: true}, {}}, code: 1008},
		{name: "wrong close code", frames: []wstest.Frame{wstest.CloseFrame(1006, "")}, code: 1002},
	} {
		for role, ends := range roles {
			t.Run(test.name+" to a "+role, func(t *testing.T) {
				c, p := ends(t, &wsconn.Config{Limits: limits})
				read := make(chan error, 1)
				go func() {
					_, _, err := c.Read(deadline(t))
					read <- err
				}()
				p.SendFrames(test.frames...)
				p.ExpectClose(test.code)
				p.ExpectEnd()
				p.CloseNow()
				err := <-read
				var broken *wsproto.ProtocolError
				var closed *wsconn.CloseError
				if !errors.As(err, &broken) && !errors.As(err, &closed) || broken != nil && broken.Code != test.code {
					t.Errorf("Read: %v", err)
				}
				if _, _, again := c.Read(deadline(t)); again != err {
					t.Errorf("Read once more: %v", again)
				}
				if again := c.Write(deadline(t), wsconn.Text, nil); again != err {
					t.Errorf("Write: %v", again)
				}
				if again := c.Ping(deadline(t)); again != err {
					t.Errorf("Ping: %v", again)
				}
			})
		}
	}
}

// TestRefusalArrives: a peer in the middle of a large message is told why, and not just reset.
func TestRefusalArrives(t *testing.T) {
	ends := carriers(t)
	for _, carrier := range []string{"TCP", "TLS", "NetPipe"} {
		t.Run(carrier, func(t *testing.T) {
			a, b := ends[carrier]()
			read := make(chan error, 1)
			go func() {
				c, err := wsconn.Server(deadline(t), b, nil)
				if err == nil {
					_, _, err = c.Read(deadline(t))
				}
				read <- err
			}()
			p := wstest.Connect(t, a, "ws://example.com/", nil)
			p.SendFrames(wstest.Frame{Opcode: wsproto.Binary, Length: 1 << 40, Payload: string(make([]byte, 8<<20))})
			p.ExpectClose(1009)
			p.ExpectEnd()
			p.CloseNow()
			var broken *wsproto.ProtocolError
			if err := <-read; !errors.As(err, &broken) || broken.Code != 1009 {
				t.Error(err)
			}
		})
	}
}

// TestConnectionLost: who hangs up without a closing handshake is told from who does one.
func TestConnectionLost(t *testing.T) {
	c, p := wstest.Client(t, nil)
	p.SendRaw([]byte{0x81, 5, 'h', 'a'})
	p.CloseNow()
	if _, _, err := c.Read(deadline(t)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Read: %v", err)
	}
	if err := c.Close(1000, ""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Close: %v", err)
	}
}

// TestLimitsOff: a negative value switches each limit of messages off, as it does everywhere.
func TestLimitsOff(t *testing.T) {
	off := wsconn.Limits{MaxMessage: -1, MaxFrame: -1, MaxFragments: -1, ControlRate: -1,
		MaxHeader: -1, MaxHeaderFields: -1, HandshakeTimeout: -1,
		IdleTimeout: -1, PongTimeout: -1, ProgressTimeout: -1, CloseTimeout: -1}
	for name, limits := range map[string]wsconn.Limits{
		"all":             off,
		"only MaxMessage": {MaxMessage: -1, ControlRate: -1},
	} {
		c, p := wstest.Server(t, &wsconn.Config{Limits: limits})
		read := make(chan error, 1)
		go func() {
			_, data, err := c.Read(deadline(t))
			if err == nil && len(data) != 3<<20 {
				t.Errorf("%s: %d bytes", name, len(data))
			}
			read <- err
		}()
		frames := manyFrames(5000, wstest.Frame{Opcode: wsproto.Pong})
		frames = append(frames, wstest.Frame{Opcode: wsproto.Binary, More: true})
		frames = append(frames, manyFrames(5000, wstest.Frame{More: true})...)
		frames = append(frames, wstest.Frame{Payload: string(make([]byte, 3<<20))})
		p.SendFrames(frames...)
		if err := <-read; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		c.CloseNow()
	}
}
