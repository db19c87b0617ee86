package websocket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// streaming is a server whose connections are Streams, with op, and a client of it.
func streaming(t testing.TB, s *websocket.Server, op websocket.Opcode) (*engine.Engine, *client, *websocket.Stream) {
	t.Helper()
	streams := make(chan *websocket.Stream, 1)
	s.Open = func(c *websocket.Conn) {
		c.EngineConn().SetWriteBuffer(64 << 10)
		c.EngineConn().SetReadBuffer(64 << 10)
		streams <- c.Stream(op)
	}
	s.Message = func(*websocket.Conn, websocket.Opcode, []byte) { t.Error("Message of a Stream") }
	eng, address := start(t, s, engine.Config{Loops: 1, HighWater: 128 << 10})
	c := dial(t, address)
	return eng, c, receive(t, "stream", streams)
}

// TestStreamCopies everything in order, as io.Copy goes, whatever the messages are.
func TestStreamCopies(t *testing.T) {
	for name, s := range map[string]*websocket.Server{
		"whole":     {},
		"in pieces": {Piece: func(*websocket.Conn, websocket.Opcode, []byte, bool) { t.Error("Piece of a Stream") }},
	} {
		t.Run(name, func(t *testing.T) {
			_, c, s := streaming(t, s, websocket.Binary)
			copied := make(chan error, 1)
			go func() {
				_, err := io.Copy(s, s)
				copied <- err
				s.Close()
			}()
			var sent bytes.Buffer
			for i := range 3 << 20 {
				sent.WriteByte(byte(i * i >> 7))
			}
			go func() {
				rest, n := sent.Bytes(), 1
				for len(rest) > 0 {
					n = min(2*n+1, len(rest), 700_000)
					wsutil.WriteClientBinary(c, bytes.Clone(rest[:n]))
					rest = rest[n:]
				}
			}()
			var got bytes.Buffer
			for got.Len() < sent.Len() {
				f, err := readFrame(c.r)
				if err != nil || f.Header.OpCode != ws.OpBinary {
					t.Fatal(f.Header, err)
				}
				got.Write(f.Payload)
			}
			if !bytes.Equal(got.Bytes(), sent.Bytes()) {
				t.Error("what comes back is not what was sent")
			}
			ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))))
			c.Conn.(*net.TCPConn).CloseWrite()
			if err := receive(t, "end of the copy", copied); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamIsBounded: what nobody reads is not received, and what the peer does not read is not
// written.
func TestStreamIsBounded(t *testing.T) {
	eng, c, s := streaming(t, &websocket.Server{}, websocket.Binary)
	const total = 64 << 20
	message := ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 32<<10)))
	sent := make(chan int, 1)
	go func() {
		n := 0
		for ; n < total; n += 32 << 10 {
			if ws.WriteFrame(c, message) != nil {
				break
			}
		}
		sent <- n
	}()
	// Only then is written, or the peer might not be read from because of what waits for it.
	until(t, "pause", func() bool { return websocket.Unread(s) >= 64<<10 })
	written := make(chan error, 1)
	go func() {
		_, err := s.Write(make([]byte, total))
		written <- err
	}()
	wait(t, websocket.HandleOf(s), 1) // the writer
	if n := websocket.Unread(s); n > 64<<10+32<<10 {
		t.Errorf("%d bytes are received and not read", n)
	}
	if stats, err := eng.Stats(t.Context()); err != nil || stats.Buffered > 1<<20 {
		t.Errorf("%d bytes are buffered, %v", stats.Buffered, err)
	}
	go io.Copy(io.Discard, c.r)
	if err := receive(t, "end of Write", written); err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, s, total); err != nil {
		t.Fatal(n, err)
	}
	if n := receive(t, "end of the peer", sent); n != total {
		t.Errorf("%d bytes were sent", n)
	}
}

func TestStreamEnds(t *testing.T) {
	goodbye := func(code ws.StatusCode) func(*client, *websocket.Stream) {
		return func(c *client, _ *websocket.Stream) {
			ws.WriteFrame(c, ws.MaskFrame(ws.NewTextFrame([]byte("last words"))))
			ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, ""))))
			c.Conn.(*net.TCPConn).CloseWrite()
		}
	}
	for _, test := range []struct {
		name string
		end  func(*client, *websocket.Stream)
		read string // before the end
		want func(error) bool
	}{
		{name: "the peer has finished", end: goodbye(1000), read: "last words",
			want: func(err error) bool { return err == nil }},
		{name: "the peer goes away", end: goodbye(1001), read: "last words",
			want: func(err error) bool { return err == nil }},
		{name: "the peer has failed", end: goodbye(1011), read: "last words",
			want: func(err error) bool { return websocket.CloseStatus(err) == 1011 }},
		{name: "connection lost", end: func(c *client, _ *websocket.Stream) { c.Close() },
			want: func(err error) bool { return errors.Is(err, engine.ErrPeerClosed) }},
		{name: "Close", end: func(_ *client, s *websocket.Stream) { s.Close() },
			want: func(err error) bool { return errors.Is(err, engine.ErrClosed) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			ended := make(chan error, 1)
			_, c, s := streaming(t, &websocket.Server{Close: func(_ *websocket.Conn, err error) { ended <- err }},
				websocket.Binary)
			type result struct {
				data []byte
				err  error
			}
			read := make(chan result, 1)
			go func() {
				b, err := io.ReadAll(s)
				read <- result{b, err}
			}()
			test.end(c, s)
			r := receive(t, "end of Read", read)
			if string(r.data) != test.read || !test.want(r.err) {
				t.Errorf("%q, %v", r.data, r.err)
			}
			if test.name == "Close" {
				if code, _ := c.closeCode(t); code != 1000 {
					t.Error(code)
				}
				c.Close()
			}
			receive(t, "Close", ended)
			if _, err := s.Write(nil); !errors.Is(err, engine.ErrClosed) {
				t.Errorf("Write after the end: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStreamClosesWhilePaused: the closing handshake is seen although nobody has read.
func TestStreamClosesWhilePaused(t *testing.T) {
	ended := make(chan error, 1)
	_, c, s := streaming(t, &websocket.Server{Close: func(_ *websocket.Conn, err error) { ended <- err }},
		websocket.Binary)
	for range 4 {
		ws.WriteFrame(c, ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 20<<10))))
	}
	until(t, "pause", func() bool { return websocket.Unread(s) >= 64<<10 })
	s.Close()
	c.closeCode(t)
	ws.WriteFrame(c, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(1000, ""))))
	c.Close()
	if err := receive(t, "Close", ended); websocket.CloseStatus(err) != 1000 {
		t.Error(err)
	}
}

// TestStreamOfText cuts between characters.
func TestStreamOfText(t *testing.T) {
	_, c, s := streaming(t, &websocket.Server{}, websocket.Text)
	text := "x" + string(bytes.Repeat([]byte("é€"), 30_000))
	go io.WriteString(s, text)
	var got bytes.Buffer
	for got.Len() < len(text) {
		f, err := readFrame(c.r)
		if err != nil || f.Header.OpCode != ws.OpText || !bytes.Equal(bytes.ToValidUTF8(f.Payload, nil), f.Payload) {
			t.Fatal(f.Header, err)
		}
		got.Write(f.Payload)
	}
	if got.String() != text {
		t.Error("it is another text")
	}
}

// TestStreamOfTextThatIsNone: Write looked back to the beginning for a character, and sent one
// byte.
func TestStreamOfTextThatIsNone(t *testing.T) {
	_, c, s := streaming(t, &websocket.Server{}, websocket.Text)
	const size = 200 << 10
	go s.Write(bytes.Repeat([]byte{0x80}, size))
	for got, frames := 0, 0; got < size; frames++ {
		f, err := readFrame(c.r)
		if err != nil || frames > 4 {
			t.Fatalf("%d bytes in %d frames, %v", got, frames, err)
		}
		got += len(f.Payload)
	}
}

// TestStreamClosesAlsoWhenTheLoopIsBusy: what waits for the loop may be over
// engine.Config.MaxPosted.
func TestStreamClosesAlsoWhenTheLoopIsBusy(t *testing.T) {
	streams, handles := make(chan *websocket.Stream, 1), make(chan websocket.Handle, 1)
	ended := make(chan error, 1)
	eng, address := start(t, &websocket.Server{
		Open:   func(c *websocket.Conn) { handles <- c.Handle(); streams <- c.Stream(websocket.Binary) },
		Close:  func(_ *websocket.Conn, err error) { ended <- err },
		Limits: websocket.Limits{CloseTimeout: time.Millisecond},
	}, engine.Config{Loops: 1, MaxPosted: 1 << 10})
	c := dial(t, address)
	go io.Copy(io.Discard, c.Conn)
	s, h := receive(t, "stream", streams), receive(t, "handle", handles)
	block := make(chan struct{})
	eng.Post(0, func() { <-block })
	for h.Send(websocket.Binary, make([]byte, 100)) == nil { // until the loop is busy
	}
	s.Close()
	close(block)
	receive(t, "end", ended)
}

// TestStreamEndsByAnErrorThatPanics: a reason of the program's own may have methods that panic, as
// those of a nil pointer do. Then Read never returned, and the callback Close was not called.
func TestStreamEndsByAnErrorThatPanics(t *testing.T) {
	closed := make(chan error, 1)
	server := &websocket.Server{Close: func(_ *websocket.Conn, err error) { closed <- err }}
	_, _, s := streaming(t, server, websocket.Binary)
	websocket.HandleOf(s).Post(func(c *websocket.Conn) {
		c.EngineConn().CloseWith((*net.OpError)(nil)) // whose Unwrap panics
	})
	receive(t, "callback Close", closed)
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("Read without an error")
	}
}

// TestHandleClosesAlsoWhenTheLoopIsBusy: Close returned engine.ErrBusy, and a caller that had no
// use for its error left the connection open. One with a code that may not be sent returned nil.
func TestHandleClosesAlsoWhenTheLoopIsBusy(t *testing.T) {
	handles, ended := make(chan websocket.Handle, 1), make(chan error, 1)
	eng, address := start(t, &websocket.Server{
		Open:  func(c *websocket.Conn) { handles <- c.Handle() },
		Close: func(_ *websocket.Conn, err error) { ended <- err },
	}, engine.Config{Loops: 1, MaxPosted: 1 << 10})
	c := dial(t, address)
	h := receive(t, "handle", handles)
	block := make(chan struct{})
	eng.Post(0, func() { <-block })
	for h.Send(websocket.Binary, make([]byte, 100)) == nil { // until the loop is busy
	}
	if err := h.Close(websocket.AbnormalClosure, ""); err == nil {
		t.Error("no error for a code that may not be sent")
	}
	err := h.Close(websocket.GoingAway, "busy")
	close(block)
	if err != nil {
		t.Fatal(err)
	}
	for {
		f, err := readFrame(c.Conn)
		if err != nil {
			t.Fatal(err)
		}
		if f.Header.OpCode == ws.OpClose {
			if code, reason := ws.ParseCloseFrameData(f.Payload); code != 1001 || reason != "busy" {
				t.Error(code, reason)
			}
			break
		}
	}
	c.Conn.Close()
	receive(t, "end", ended)
}
