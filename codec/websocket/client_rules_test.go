package websocket_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// TestClientGetsFramesThatComeWithTheResponse, in the order of the wire, and behind Dial's
// callback.
func TestClientGetsFramesThatComeWithTheResponse(t *testing.T) {
	eng := running(t, engine.Config{Loops: 1})
	got := make(chan string, 3)
	client := &websocket.Client{Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) {
		got <- string(data)
	}}
	address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
		io.WriteString(nc, accept(q, "")+"\x81\x05first\x81\x06second")
		io.Copy(io.Discard, r)
	})
	err := client.Dial(context.Background(), eng, "ws://"+address,
		func(_ *websocket.Conn, err error) { got <- fmt.Sprint("open ", err) })
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"open <nil>", "first", "second"} {
		if s := receive(t, "event", got); s != want {
			t.Fatalf("%q, want %q", s, want)
		}
	}
}

// TestClientWaitsForTheServerToClose: after the closing handshake it is the server that closes the
// connection (RFC 6455 section 7.1.1), unless it takes too long.
func TestClientWaitsForTheServerToClose(t *testing.T) {
	for _, lazy := range []bool{false, true} {
		for _, first := range []string{"client", "server"} {
			t.Run(fmt.Sprint(first, " first, lazy server: ", lazy), func(t *testing.T) {
				eng := running(t, engine.Config{Loops: 1, Linger: 50 * time.Millisecond})
				ended := make(chan error, 1)
				client := &websocket.Client{Close: func(_ *websocket.Conn, err error) { ended <- err }}
				if lazy {
					client.CloseTimeout = 50 * time.Millisecond
				}
				closing := make(chan struct{})
				quiet := make(chan error, 1)
				address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
					io.WriteString(nc, accept(q, ""))
					if first == "server" {
						io.WriteString(nc, "\x88\x02\x0f\xa0") // 4000
					}
					f, err := readFrame(r)
					if err != nil || f.Header.OpCode != ws.OpClose || !f.Header.Masked {
						t.Errorf("frame %+v, %v", f.Header, err)
					}
					if first == "client" {
						io.WriteString(nc, "\x88\x02\x0f\xa0")
					}
					if lazy {
						_, err := r.ReadByte()
						quiet <- err
						return
					}
					// long enough to see a client that does not wait
					nc.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
					_, err = r.ReadByte()
					quiet <- err
					<-closing
				})
				o := open(t, client, eng, "ws://"+address)
				if o.err != nil {
					t.Fatal(o.err)
				}
				if first == "client" {
					o.c.Handle().Close(4000, "")
				}
				err := receive(t, "what the server reads behind the Close frame", quiet)
				if timeout := (net.Error)(nil); lazy && err != io.EOF ||
					!lazy && !(errors.As(err, &timeout) && timeout.Timeout()) {
					t.Errorf("lazy server %v: read %v behind the Close frame", lazy, err)
				}
				close(closing)
				var e *websocket.CloseError
				if err := receive(t, "end", ended); !errors.As(err, &e) || e.Code != 4000 {
					t.Errorf("ended with %v", err)
				}
			})
		}
	}
}

// TestClientFailsServersThatBreakRules: the rules that bind a server.
func TestClientFailsServersThatBreakRules(t *testing.T) {
	for _, test := range []struct {
		name, frames string
		want         wsproto.CloseCode
	}{
		{"masked frame", "\x81\x85\x01\x02\x03\x04aaaaa", wsproto.ProtocolFault},
		{"reserved bit", "\xc1\x01a", wsproto.ProtocolFault},
		{"invalid text", "\x81\x01\xff", wsproto.InvalidPayload},
		{"too large", "\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00", wsproto.MessageTooBig},
		{"close code that may not be sent", "\x88\x02\x03\xee", wsproto.ProtocolFault},
	} {
		t.Run(test.name, func(t *testing.T) {
			eng := running(t, engine.Config{Loops: 1})
			ended := make(chan error, 1)
			code := make(chan ws.StatusCode, 1)
			client := &websocket.Client{Close: func(_ *websocket.Conn, err error) { ended <- err }}
			address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
				io.WriteString(nc, accept(q, "")+test.frames)
				f, err := readFrame(r)
				if err != nil || !f.Header.Masked {
					t.Errorf("%+v, %v", f.Header, err)
				}
				c, _ := ws.ParseCloseFrameData(ws.UnmaskFrame(f).Payload)
				code <- c
			})
			if o := open(t, client, eng, "ws://"+address); o.err != nil {
				t.Fatal(o.err)
			}
			if c := receive(t, "Close frame", code); c != ws.StatusCode(test.want) {
				t.Errorf("close code %d, want %d", c, test.want)
			}
			var p *wsproto.ProtocolError
			if err := receive(t, "end", ended); !errors.As(err, &p) || p.Code != test.want {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// TestClientMasksEachFrameWithItsOwnKey, and with keys that do not follow from one another (RFC
// 6455 section 5.3).
func TestClientMasksEachFrameWithItsOwnKey(t *testing.T) {
	eng := running(t, engine.Config{Loops: 1})
	const frames = 1000
	keys := make(chan map[[4]byte]bool, 1)
	address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
		io.WriteString(nc, accept(q, ""))
		seen := map[[4]byte]bool{}
		for range frames {
			f, err := readFrame(r)
			if err != nil || string(ws.UnmaskFrameInPlace(f).Payload) != "hello" {
				t.Error(f.Header, err)
				break
			}
			seen[f.Header.Mask] = true
		}
		keys <- seen
	})
	err := (&websocket.Client{}).Dial(context.Background(), eng, "ws://"+address, func(c *websocket.Conn, err error) {
		if err != nil {
			t.Error(err)
			return
		}
		for range frames {
			c.Send(websocket.Text, []byte("hello"))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(receive(t, "frames", keys)); n < frames-1 { // one may repeat by chance
		t.Errorf("%d different keys in %d frames", n, frames)
	}
}
