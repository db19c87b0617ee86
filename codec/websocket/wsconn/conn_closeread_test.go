package wsconn_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestCloseRead: messages are discarded, control frames are answered, and the context ends with the
// connection.
func TestCloseRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{Limits: wsconn.Limits{MaxMessage: 1 << 30}})
		parent, cancel := context.WithCancel(t.Context())
		short := c.CloseRead(parent)
		ctx := c.CloseRead(t.Context())
		p.Send(wsproto.Text, "discarded")
		p.SendFrames(wstest.Frame{Opcode: wsproto.Binary, Payload: strings.Repeat("x", 1<<20)})
		p.Send(wsproto.Ping, "a")
		p.ExpectFrame(wstest.Frame{Opcode: wsproto.Pong, Payload: "a"})
		if _, _, err := c.Read(t.Context()); err == nil {
			t.Error("Read after CloseRead")
		}
		if _, _, err := c.Reader(t.Context()); err == nil {
			t.Error("Reader after CloseRead")
		}
		cancel()
		if err := context.Cause(short); err != context.Canceled {
			t.Errorf("the end of its parent: %v", err)
		}
		if err := c.Write(ctx, wsconn.Text, []byte("still here")); err != nil {
			t.Error(err)
		}
		p.Expect(wsproto.Text, "still here")
		p.Close(4000, "enough")
		<-ctx.Done()
		for _, ctx := range []context.Context{ctx, c.CloseRead(t.Context())} {
			var end *wsconn.CloseError
			if err := context.Cause(ctx); !errors.As(err, &end) || end.Code != 4000 {
				t.Errorf("the context ended with %v", err)
			}
		}
	})
}

// TestCloseAfterCloseRead does the closing handshake.
func TestCloseAfterCloseRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := wstest.Pipe(t, nil)
		ctx := server.CloseRead(t.Context())
		ended := reading(t.Context(), client)
		if err := server.Close(1000, "done"); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
		if err := <-ended; !errors.As(err, new(*wsconn.CloseError)) {
			t.Error(err)
		}
	})
}

// TestCloseReadLeavesTheLastMessage: what Read has returned is the caller's until the next Read.
func TestCloseReadLeavesTheLastMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{})
		want := strings.Repeat("a", 100)
		p.Send(wsproto.Text, want)
		_, data, err := c.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.CloseRead(t.Context())
		p.Send(wsproto.Text, strings.Repeat("b", 100))
		synctest.Wait()
		if string(data) != want {
			t.Errorf("it is %.20q now", data)
		}
		c.CloseNow()
	})
}

// TestCloseReadForgetsContexts: a connection kept each context that CloseRead had returned, to its
// own end.
func TestCloseReadForgetsContexts(t *testing.T) {
	c, _ := wstest.Server(t, nil)
	const n = 20_000
	before := heap()
	for range n {
		ctx, cancel := context.WithCancel(t.Context())
		c.CloseRead(ctx)
		cancel()
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		held := int64(heap()-before) / n
		if held < 150 { // 295 before; what other tests hold is in it
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("each context holds %d bytes", held)
		}
	}
	c.CloseNow()
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
