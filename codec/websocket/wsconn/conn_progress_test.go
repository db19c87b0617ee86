package wsconn_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestProgressTimeout: a peer that never ends what it has begun is refused, and one that goes on
// slowly is not.
func TestProgressTimeout(t *testing.T) {
	for _, test := range []struct {
		name     string
		config   *wsconn.Config
		streamed bool // by Reader
		piece    int  // bytes that come every second
		pings    bool // between fragments of a byte
		end      time.Duration
	}{
		{name: "a byte a second", piece: 1, end: 30 * time.Second},
		{name: "a byte a second to Reader", piece: 1, streamed: true, end: 30 * time.Second},
		{name: "fragments and pings", pings: true, end: 30 * time.Second},
		{name: "200 bytes a second", piece: 200},
		{name: "200 bytes a second to Reader", piece: 200, streamed: true},
		{name: "no limit", piece: 100, config: &wsconn.Config{Limits: wsconn.Limits{ProgressTimeout: -1}}},
		{name: "another limit", piece: 200,
			config: &wsconn.Config{Limits: wsconn.Limits{ProgressTimeout: 10 * time.Second}}, end: 10 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := wstest.Server(t, test.config)
				p.Timeout = time.Hour
				ended := make(chan error, 1)
				go func() {
					defer c.CloseNow()
					if !test.streamed {
						_, _, err := c.Read(t.Context())
						ended <- err
						return
					}
					_, r, err := c.Reader(t.Context())
					if err == nil {
						_, err = io.Copy(io.Discard, r)
					}
					ended <- err
				}()
				before := time.Now()
				var dripping sync.WaitGroup
				defer dripping.Wait()
				dripping.Go(func() { drip(p, test.piece) })
				f := wstest.Frame{Opcode: wsproto.Pong}
				for test.end != 0 && f.Opcode == wsproto.Pong {
					f = p.Frame()
				}
				if took := time.Since(before); took != test.end {
					t.Errorf("%v after %v", f, took)
				}
				if test.end == 0 {
					if err := <-ended; err != nil {
						t.Error(err)
					}
					return
				}
				if code, _, err := wsproto.ParseClose([]byte(f.Payload)); code != 1008 {
					t.Errorf("%v, %v", f, err)
				}
				p.CloseNow()
				var broken *wsproto.ProtocolError
				if err := <-ended; !errors.As(err, &broken) {
					t.Error(err)
				}
			})
		})
	}
}

// drip sends a message of 50 KB, piece bytes a second. If piece is 0 it sends fragments of one
// byte, and a ping behind each.
func drip(p *wstest.Peer, piece int) {
	p.Underlying().SetWriteDeadline(time.Time{}) // the Peer's own
	if piece == 0 {
		f := wstest.Frame{Opcode: wsproto.Text, Payload: "x", More: true}
		for {
			b := emptyPing.Append(f.Append(nil, wsproto.Client), wsproto.Client)
			if _, err := p.Underlying().Write(b); err != nil {
				return
			}
			f.Opcode = wsproto.Continuation
			time.Sleep(time.Second)
		}
	}
	b := wstest.Frame{Opcode: wsproto.Text, Payload: strings.Repeat("x", 50_000)}.Append(nil, wsproto.Client)
	for len(b) > 0 {
		n, err := p.Underlying().Write(b[:min(len(b), piece)])
		if err != nil {
			return
		}
		b = b[n:]
		time.Sleep(time.Second)
	}
}

// TestMaxLingerWithoutCloseTimeout: a peer that was told which rule it broke, and then neither sent
// anything nor closed the connection, kept it for ever.
func TestMaxLingerWithoutCloseTimeout(t *testing.T) {
	for role, ends := range roles {
		synctest.Test(t, func(t *testing.T) {
			c, p := ends(t, &wsconn.Config{Limits: wsconn.Limits{CloseTimeout: -1}, MaxLinger: time.Minute})
			ended := reading(t.Context(), c)
			p.SendFrames(wstest.Frame{Opcode: 3})
			time.AfterFunc(time.Hour, c.CloseNow)
			before := time.Now()
			err := <-ended
			if took := time.Since(before); took != time.Minute || wsconn.CloseStatus(err) != wsconn.ProtocolFault {
				t.Errorf("%s: ended after %v: %v", role, took, err)
			}
		})
	}
}
