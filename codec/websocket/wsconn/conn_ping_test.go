package wsconn_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		read := make(chan error, 1)
		go func() {
			_, _, err := c.Read(t.Context())
			read <- err
		}()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Ping(ctx); err != context.DeadlineExceeded {
			t.Errorf("unanswered: %v", err)
		}
		p.Frame()
		results := make(chan error, 3)
		var payloads []string
		for range 3 {
			go func() { results <- c.Ping(t.Context()) }()
			payloads = append(payloads, p.Frame().Payload)
		}
		p.Send(wsproto.Pong, "")
		p.Send(wsproto.Pong, "\xff\xff\xff\xff\xff\xff\xff\xff") // answers to what was not asked
		synctest.Wait()
		if len(results) != 0 {
			t.Errorf("%d pings count as answered", len(results))
		}
		p.Send(wsproto.Pong, payloads[1]) // answers the first, too
		for range 2 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		if len(results) != 0 {
			t.Error("the third ping counts as answered")
		}
		p.CloseNow()
		if err := <-results; err == nil || err != <-read {
			t.Errorf("when the connection ends: %v", err)
		}
	})
}

// TestPongsWhileWriting: pings that come while a message is being written are answered behind it,
// only the latest of them.
func TestPongsWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		ended := make(chan error, 1)
		go func() { ended <- echo(t.Context(), c) }()
		p.Send(wsproto.Ping, "alone")
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "alone"})
		written := make(chan error, 1)
		go func() { written <- c.Write(t.Context(), wsconn.Binary, make([]byte, 200_000)) }()
		synctest.Wait()
		p.Send(wsproto.Ping, "first")
		p.Send(wsproto.Ping, "second")
		synctest.Wait()
		if len(written) != 0 {
			t.Fatal("the pipe takes it all")
		}
		if f := p.Frame(); f.Opcode != wsproto.Binary {
			t.Fatalf("a pong within a message: %v", f)
		}
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "second"})
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		p.Close(1000, "")
		var closed *wsconn.CloseError
		if err := <-ended; !errors.As(err, &closed) {
			t.Error(err)
		}
	})
}

// TestPongAfterAWriteGivenUp: a ping is answered although the Write that held up the answer was
// given up, and nobody writes after it.
func TestPongAfterAWriteGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		go c.Read(t.Context())
		// it fills the pipe
		if err := c.Write(t.Context(), wsconn.Binary, make([]byte, 64<<10-4)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		written := make(chan error)
		go func() { written <- c.Write(ctx, wsconn.Text, nil) }()
		synctest.Wait()
		p.Send(wsproto.Ping, "?")
		if err := <-written; err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		for range 3 { // no matter how many more are given up
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := c.Write(ctx, wsconn.Text, nil); err != context.DeadlineExceeded {
				t.Fatal(err)
			}
			cancel()
		}
		p.Message()
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "?"})
		if err := c.Write(t.Context(), wsconn.Text, nil); err != nil {
			t.Fatal(err)
		}
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Text})
		p.Close(1000, "")
	})
}

// TestPongAfterAReadGivenUp: the same for the Read that waited to send the answer.
func TestPongAfterAReadGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		// it fills the pipe
		if err := c.Write(t.Context(), wsconn.Binary, make([]byte, 64<<10-4)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		read := make(chan error)
		go func() {
			_, _, err := c.Read(ctx)
			read <- err
		}()
		p.Send(wsproto.Ping, "?")
		if err := <-read; err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		p.Message()
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "?"})
		go c.Read(t.Context())
		p.Close(1000, "")
	})
}

// TestNothingLeftOfAPong that a Write which was given up held up, and that the peer never took.
func TestNothingLeftOfAPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		c, p := wstest.Server(t, nil)
		go c.Read(t.Context())
		if err := c.Write(t.Context(), wsconn.Binary, make([]byte, 64<<10-4)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go c.Write(ctx, wsconn.Text, nil)
		synctest.Wait()
		p.Send(wsproto.Ping, "?")
		time.Sleep(2 * time.Second)
		c.CloseNow()
	})
}

// TestPingWhileAPongIsSent by who has written a message: it is answered, too.
func TestPingWhileAPongIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		go c.Read(t.Context())
		go c.Write(t.Context(), wsconn.Binary, make([]byte, 64<<10)) // all but 10 bytes of it fit
		synctest.Wait()
		p.Send(wsproto.Ping, "first")
		synctest.Wait()
		io.ReadFull(p.Underlying(), make([]byte, 10)) // the message fits, the pong does not
		synctest.Wait()
		p.Send(wsproto.Ping, "second")
		synctest.Wait()
		io.ReadFull(p.Underlying(), make([]byte, 64<<10))
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "first"})
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "second"})
		p.Close(1000, "")
	})
}

// TestFlood: a peer that sends control frames without end is refused, and one that keeps the rate
// is not.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{Limits: wsconn.Limits{ControlRate: 10}})
		ended := make(chan error, 1)
		go func() { ended <- echo(t.Context(), c) }()
		for range 200 {
			time.Sleep(time.Second / 10)
			p.Send(wsproto.Ping, "a")
			p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "a"})
		}
		for range 99 { // with the last ping they are ten seconds' worth
			p.Send(wsproto.Pong, "b")
		}
		p.Send(wsproto.Text, "still here")
		p.Expect(wsproto.Text, "still here")
		p.Send(wsproto.Pong, "c")
		p.ExpectClose(1008)
		p.CloseNow()
		var broken *wsproto.ProtocolError
		if err := <-ended; !errors.As(err, &broken) {
			t.Error(err)
		}
	})
}
