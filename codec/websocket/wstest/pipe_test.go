package wstest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

func read(t *testing.T, c net.Conn, n int, want string, wantErr error) {
	t.Helper()
	b := make([]byte, n)
	k, err := c.Read(b)
	if string(b[:k]) != want || !errors.Is(err, wantErr) {
		t.Fatalf("Read gives %q, %v, want %q, %v", b[:k], err, want, wantErr)
	}
}

func write(t *testing.T, c net.Conn, b string, want int, wantErr error) {
	t.Helper()
	if n, err := io.WriteString(c, b); n != want || !errors.Is(err, wantErr) {
		t.Fatalf("Write takes %d of %d, %v, want %d, %v", n, len(b), err, want, wantErr)
	}
}

func TestNetPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe()
		write(t, a, "one", 3, nil)
		write(t, a, "", 0, nil)
		write(t, a, "two", 3, nil)
		read(t, b, 0, "", nil)
		read(t, b, 2, "on", nil)
		read(t, b, 10, "e", nil) // never of more than one Write
		read(t, b, 10, "two", nil)

		// Who waits is woken by what he waits for, and by his deadline.
		time.AfterFunc(time.Second, func() { io.WriteString(a, "later") })
		read(t, b, 10, "later", nil)
		before := time.Now()
		b.SetReadDeadline(before.Add(time.Minute))
		read(t, b, 10, "", os.ErrDeadlineExceeded)
		time.AfterFunc(time.Minute, func() { b.SetDeadline(time.Now()) })
		b.SetReadDeadline(time.Time{})
		read(t, b, 10, "", os.ErrDeadlineExceeded)
		if took := time.Since(before); took != 2*time.Minute {
			t.Errorf("deadlines after %v", took)
		}
		synctest.Wait() // SetDeadline wakes the reader before it sets the deadline of writes
		write(t, b, "x", 0, os.ErrDeadlineExceeded)
		b.SetDeadline(time.Now().Add(time.Hour))
		b.SetDeadline(time.Time{})

		// The buffer is bounded, and writes go on when there is room.
		b.SetWriteDeadline(time.Now().Add(time.Second))
		write(t, b, string(make([]byte, 70_000)), 64<<10, os.ErrDeadlineExceeded)
		b.SetWriteDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { io.ReadFull(a, make([]byte, 64<<10)) })
		write(t, b, "and more", 8, nil)
		read(t, a, 10, "and more", nil)

		// Half closed, then closed.
		b.(interface{ CloseWrite() error }).CloseWrite()
		write(t, b, "x", 0, net.ErrClosed)
		read(t, a, 10, "", io.EOF)
		write(t, a, "the other half", 14, nil)
		a.Close()
		read(t, b, 20, "the other half", nil)
		read(t, b, 20, "", io.EOF)
		read(t, a, 20, "", net.ErrClosed)
		write(t, a, "x", 0, net.ErrClosed)

		a, b = wstest.NetPipe()
		time.AfterFunc(time.Second, func() { b.Close() })
		write(t, a, string(make([]byte, 70_000)), 64<<10, io.ErrClosedPipe)
	})
}

// TestPipeListener: a client and an http.Server without a network.
func TestPipeListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := wstest.NewPipeListener()
		s := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := wsconn.Upgrade(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			c.Write(r.Context(), wsconn.Text, []byte("hello from "+r.Host))
			c.Close(wsproto.NormalClosure, "")
		})}
		done := make(chan error)
		go func() { done <- s.Serve(l) }()
		c, err := wsconn.Dial(t.Context(), "ws://example.com/", &wsconn.Config{DialContext: l.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		if _, data, err := c.Read(t.Context()); err != nil || string(data) != "hello from example.com" {
			t.Errorf("%q, %v", data, err)
		}
		if _, _, err := c.Read(t.Context()); err == nil {
			t.Error("no end")
		}
		s.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
		if _, err := l.DialContext(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("DialContext of a closed listener: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := wstest.NewPipeListener().DialContext(ctx, "", ""); err != context.DeadlineExceeded {
			t.Errorf("DialContext of a listener that nobody serves: %v", err)
		}
	})
}
