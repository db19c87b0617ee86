package wsconn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestReadGoesOnAfterItsContext: a Read that was given up loses nothing, wherever in a message it
// stood.
func TestReadGoesOnAfterItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{Limits: wsconn.Limits{ProgressTimeout: -1}})
		b := wstest.Frame{Opcode: wsproto.Text, Payload: strings.Repeat("0123456789", 20)}.Append(nil, wsproto.Client)
		cause := errors.New("the user's reason")
		for i := range b {
			p.SendRaw(b[i : i+1])
			if i == len(b)-1 {
				break
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			if _, _, err := c.Read(ctx); err != cause {
				t.Fatalf("after byte %d: %v", i, err)
			}
		}
		if _, data, err := c.Read(t.Context()); err != nil || len(data) != 200 {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := c.Read(ended); err != context.Canceled {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := c.Write(ended, wsconn.Text, nil); err != context.Canceled {
			t.Errorf("with a context that has ended: %v", err)
		}
		if err := c.Write(t.Context(), wsconn.Text, []byte("still here")); err != nil {
			t.Fatal(err)
		}
		p.Expect(wsproto.Text, "still here")
	})
}

// TestReadGivenUp, over all that a Conn stands on.
func TestReadGivenUp(t *testing.T) {
	for carrier, ends := range carriers(t) {
		a, b := ends()
		client, server := connect(t, a, b, nil)
		for i := range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if _, _, err := client.Read(ctx); err != context.Canceled {
				t.Fatalf("%s: %v", carrier, err)
			}
			go server.Write(deadline(t), wsconn.Text, fmt.Append(nil, i))
			if _, data, err := client.Read(deadline(t)); err != nil || string(data) != fmt.Sprint(i) {
				t.Fatalf("%s: afterwards %q, %v", carrier, data, err)
			}
		}
	}
}

// TestWriteGivenUpOverTLS: a record that was begun cannot be taken back, so that is the end.
func TestWriteGivenUpOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe()
		c, _ := connect(t, tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, s.TLS), nil)
		var err error
		for range 100 { // until the peer, which does not read, keeps a Write waiting
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err = c.Write(ctx, wsconn.Binary, make([]byte, 1000))
			cancel()
			if err != nil {
				break
			}
		}
		if !errors.Is(err, context.DeadlineExceeded) || err == context.DeadlineExceeded {
			t.Errorf("given up: %v", err)
		}
		if again := c.Write(t.Context(), wsconn.Text, nil); again != err {
			t.Errorf("afterwards: %v", again)
		}
	})
}

// TestWriteAndItsContext: a message of which nothing was sent does no harm; one that was sent in
// part is the end.
func TestWriteAndItsContext(t *testing.T) {
	for _, test := range []struct {
		role   string
		ends   func(testing.TB, *wsconn.Config) (*wsconn.Conn, *wstest.Peer)
		header int
	}{{role: "server", ends: wstest.Server, header: 4}, {role: "client", ends: wstest.Client, header: 8}} {
		synctest.Test(t, func(t *testing.T) {
			c, p := test.ends(t, nil)
			within := func(n int) error {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				return c.Write(ctx, wsconn.Binary, make([]byte, n))
			}
			if err := within(64<<10 - test.header); err != nil { // it fills the pipe
				t.Fatal(err)
			}
			if err := within(10); err != context.DeadlineExceeded {
				t.Fatalf("%s: nothing fits: %v", test.role, err)
			}
			p.Message()
			if err := within(10); err != nil {
				t.Fatalf("%s: afterwards: %v", test.role, err)
			}
			if err := within(1 << 20); !errors.Is(err, context.DeadlineExceeded) || err == context.DeadlineExceeded {
				t.Fatalf("%s: half of it fits: %v", test.role, err)
			}
			if _, _, err := c.Read(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: Read of a broken connection: %v", test.role, err)
			}
			if err := within(10); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: Write to a broken connection: %v", test.role, err)
			}
		})
	}
}

// TestContextsForgetWhatHasEnded: a context that lives on does not keep a connection that does not.
func TestContextsForgetWhatHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := func(use func(*wsconn.Conn)) weak.Pointer[wsconn.Conn] {
		a, b := wstest.NetPipe()
		client, server := connect(t, a, b, nil)
		go server.Read(t.Context())
		use(client)
		client.Underlying().Close()
		client.Read(context.Background())
		return weak.Make(client)
	}
	for name, c := range map[string]weak.Pointer[wsconn.Conn]{
		"Read": ended(func(c *wsconn.Conn) {
			time.AfterFunc(time.Millisecond, func() { c.Underlying().Close() })
			c.Read(ctx)
		}),
		"Write": ended(func(c *wsconn.Conn) { c.Write(ctx, wsconn.Text, nil) }),
	} {
		for end := time.Now().Add(patience); c.Value() != nil; runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("a context of %s keeps its connection", name)
			}
		}
	}
}

// TestNoGoroutine belongs to a connection, also while contexts that can end are watched.
func TestNoGoroutine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := runtime.NumGoroutine()
	for range 100 {
		c, p := wstest.Server(t, nil)
		p.Send(wsproto.Text, "a")
		if _, _, err := c.Read(ctx); err != nil {
			t.Fatal(err)
		}
		if err := c.Write(ctx, wsconn.Text, nil); err != nil {
			t.Fatal(err)
		}
	}
	// the handshakes' are ending
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before+10; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// stubborn is a connection without deadlines.
type stubborn struct{ net.Conn }

func (stubborn) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

// TestContextWithoutDeadlines: where deadlines are not to be had, the end of a context is that of
// the connection.
func TestContextWithoutDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe()
		c, _ := connect(t, stubborn{a}, b, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, _, err := c.Read(ctx); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// TestUsersDeadline: a deadline that the user sets on the connection below is no end of it.
func TestUsersDeadline(t *testing.T) {
	c, p := wstest.Client(t, nil)
	c.Underlying().SetReadDeadline(time.Unix(1, 0))
	if _, _, err := c.Read(deadline(t)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	c.Underlying().SetReadDeadline(time.Time{})
	p.Send(wsproto.Text, "later")
	if _, data, err := c.Read(deadline(t)); err != nil || string(data) != "later" {
		t.Errorf("%q, %v", data, err)
	}
}
