package wsconn_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestCloseByUs: Close waits for the peer's Close frame, drops what comes before, and hangs up.
func TestCloseByUs(t *testing.T) {
	for _, test := range []struct {
		name    string
		reading bool // while somebody reads
		pieces  bool // messages come in fragments
	}{{name: "alone"}, {name: "alone, in fragments", pieces: true}, {name: "beside a Read", reading: true}} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := wstest.Server(t, nil)
				send := func(text string) {
					if test.pieces {
						p.SendFrames(wstest.Frame{Opcode: wsproto.Text, More: true},
							wstest.Frame{Payload: text[:2], More: true}, wstest.Frame{Payload: text[2:]})
					} else {
						p.Send(wsproto.Text, text)
					}
				}
				send("kept")
				_, kept, err := c.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				read := make(chan error, 1)
				if test.reading {
					go func() {
						_, _, err := c.Read(t.Context())
						read <- err
					}()
				}
				synctest.Wait()
				closed := make(chan error, 1)
				go func() { closed <- c.Close(4001, "bye") }()
				if reason := p.ExpectClose(4001); reason != "bye" {
					t.Errorf("reason %q", reason)
				}
				send("dropped")
				p.Send(wsproto.Ping, "no pong may follow a Close frame")
				if err := c.Write(t.Context(), wsconn.Text, nil); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Write after Close: %v", err)
				}
				if err := c.Close(4002, "second"); !errors.Is(err, net.ErrClosed) {
					t.Errorf("second Close: %v", err)
				}
				p.SendFrames(wstest.CloseFrame(4003, "answer"))
				p.ExpectEnd()
				if err := <-closed; err != nil {
					t.Errorf("Close: %v", err)
				}
				want := wsconn.CloseError{Code: 4003, Reason: "answer", SentCode: 4001, SentReason: "bye",
					SentFirst: true}
				if !test.reading {
					_, _, err = c.Read(t.Context())
				} else {
					err = <-read
				}
				if e, ok := err.(*wsconn.CloseError); !ok || *e != want {
					t.Errorf("Read: %v", err)
				}
				if !test.reading && string(kept) != "kept" {
					t.Errorf("Close has changed what Read returned: %q", kept)
				}
				if err := c.Close(1000, ""); err != nil {
					t.Errorf("Close of a closed one: %v", err)
				}
			})
		})
	}
}

// TestCloseTimeout: nobody who is deaf or mute holds us up for longer.
func TestCloseTimeout(t *testing.T) {
	for _, test := range []struct {
		name  string
		peer  func(*wsconn.Conn, *wstest.Peer)
		nc    func(testing.TB, *wsconn.Config) (*wsconn.Conn, *wstest.Peer)
		doing func(*wsconn.Conn) error
	}{
		{name: "mute", nc: wstest.Server, doing: func(c *wsconn.Conn) error { return c.Close(1000, "") }},
		{name: "deaf", nc: wstest.Server, doing: func(c *wsconn.Conn) error {
			go c.Write(context.Background(), wsconn.Binary, make([]byte, 1<<20))
			synctest.Wait()
			return c.Close(1000, "")
		}},
		{name: "server that does not hang up", nc: wstest.Client, peer: func(_ *wsconn.Conn, p *wstest.Peer) {
			p.SendFrames(wstest.CloseFrame(1000, ""))
		}, doing: func(c *wsconn.Conn) error {
			_, _, err := c.Read(context.Background())
			return err
		}},
		{name: "rule breaker that does not hang up", nc: wstest.Server, peer: func(_ *wsconn.Conn, p *wstest.Peer) {
			p.SendFrames(wstest.Frame{Opcode: 5})
		}, doing: func(c *wsconn.Conn) error {
			_, _, err := c.Read(context.Background())
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := test.nc(t, &wsconn.Config{Limits: wsconn.Limits{CloseTimeout: 7 * time.Second}})
				if test.peer != nil {
					test.peer(c, p)
				}
				before := time.Now()
				err := test.doing(c)
				if took := time.Since(before); took != 7*time.Second {
					t.Errorf("it took %v: %v", took, err)
				}
				if err == nil {
					t.Error("no error")
				}
				if test.peer == nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		})
	}
}

// TestCloseByPeer: the answer has the same code, and the server hangs up at once; a client waits
// for that.
func TestCloseByPeer(t *testing.T) {
	for _, code := range []wsproto.CloseCode{1000, 1001, 3000, 4999, 1005} {
		synctest.Test(t, func(t *testing.T) {
			s, p := wstest.Server(t, nil)
			reason := "why"
			if code == wsconn.NoStatus {
				reason = ""
			}
			p.SendFrames(wstest.CloseFrame(code, reason))
			before := time.Now()
			_, _, err := s.Read(t.Context())
			if time.Since(before) != 0 {
				t.Error("the server waits for the client")
			}
			want := wsconn.CloseError{Code: code, Reason: reason, SentCode: code}
			if e, ok := err.(*wsconn.CloseError); !ok || *e != want || !e.PeerClosed() {
				t.Errorf("Read: %v", err)
			}
			if got := wsconn.CloseStatus(err); got != code {
				t.Errorf("CloseStatus: %v", got)
			}
			p.ExpectClose(code)
			p.ExpectEnd()

			c, p := wstest.Client(t, nil)
			p.SendFrames(wstest.CloseFrame(code, ""))
			read := make(chan error)
			go func() {
				_, _, err := c.Read(t.Context())
				read <- err
			}()
			p.ExpectClose(code)
			synctest.Wait()
			select {
			case err := <-read:
				t.Errorf("the client does not wait for the server: %v", err)
			default:
			}
			p.CloseNow()
			if e, ok := (<-read).(*wsconn.CloseError); !ok || e.Code != code {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

// TestCloseNow ends everything that waits, at once, whatever the peer does.
func TestCloseNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, nil)
		ended := make(chan error, 4)
		go func() { ended <- <-reading(t.Context(), c) }()
		go func() { ended <- c.Write(t.Context(), wsconn.Binary, make([]byte, 1<<20)) }()
		go func() { ended <- c.Ping(t.Context()) }()
		go func() { ended <- c.Close(1000, "") }()
		synctest.Wait()
		before := time.Now()
		c.CloseNow()
		for range cap(ended) {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		c.CloseNow()
		if err := c.Close(1000, ""); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("it took %v", took)
		}
		for err := error(nil); err == nil; {
			_, err = p.Underlying().Read(make([]byte, 64<<10))
		}
	})
}

// TestCloseNowOverTLS does not wait for a peer that takes nothing either.
func TestCloseNowOverTLS(t *testing.T) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	synctest.Test(t, func(t *testing.T) {
		a, b := wstest.NetPipe()
		c, _ := connect(t, tls.Client(a, &tls.Config{InsecureSkipVerify: true}), tls.Server(b, s.TLS), nil)
		raw := c.Underlying().(*tls.Conn).NetConn()
		raw.SetWriteDeadline(time.Now().Add(time.Second))
		raw.Write(make([]byte, 1<<20)) // it fills the pipe
		before := time.Now()
		c.CloseNow()
		if took := time.Since(before); took != 0 {
			t.Errorf("it took %v", took)
		}
		b.Close()
	})
}

// TestCloseNowLeavesWhatReadReturned: its memory is not used again.
func TestCloseNowLeavesWhatReadReturned(t *testing.T) {
	c, p := wstest.Server(t, &wsconn.Config{Compression: &wsconn.Compression{}})
	other, q := wstest.Server(t, &wsconn.Config{Compression: &wsconn.Compression{}})
	text := strings.Repeat("a", 50_000)
	p.SendFrames(p.Compressed(wsproto.Text, text))
	_, data, err := c.Read(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
	for range 10 {
		q.SendFrames(q.Compressed(wsproto.Text, strings.Repeat("b", 50_000)))
		if _, _, err := other.Read(deadline(t)); err != nil {
			t.Fatal(err)
		}
	}
	if string(data) != text {
		t.Error("CloseNow has changed what Read returned")
	}
}
