package wsconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestNetConnCarriesHTTPS: TLS and HTTP, with all the deadlines that net/http sets, in a WebSocket.
func TestNetConnCarriesHTTPS(t *testing.T) {
	l := wstest.NewPipeListener()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	s.Listener = l
	s.StartTLS()
	defer s.Close()
	transport := s.Client().Transport.(*http.Transport)
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		client, server := wstest.Pipe(t, nil)
		target, err := l.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		tunnel := server.NetConn(wsconn.Binary)
		go func() {
			defer target.Close()
			io.Copy(target, tunnel)
		}()
		go func() {
			defer tunnel.Close()
			io.Copy(tunnel, target)
		}()
		return client.NetConn(wsconn.Binary), nil
	}
	want := bytes.Repeat([]byte("0123456789"), 300_000)
	for range 3 {
		r, err := s.Client().Post("https://example.com/", "text/plain", bytes.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		r.Body.Close()
	}
	transport.CloseIdleConnections()
}

// TestNetConnMessages: what is read does not depend on where messages end, and what is written is
// not over a limit.
func TestNetConnMessages(t *testing.T) {
	c, p := wstest.Server(t, nil)
	nc := c.NetConn(wsconn.Binary)
	p.Send(wsproto.Binary, "one")
	p.Send(wsproto.Binary, "")
	p.SendFrames(wstest.Frame{Opcode: wsproto.Binary, Payload: "two", More: true}, wstest.Frame{Payload: "three"})
	got := make([]byte, 11)
	if _, err := io.ReadFull(nc, got); err != nil || string(got) != "onetwothree" {
		t.Errorf("%q, %v", got, err)
	}
	long := strings.Repeat("x", 40_000)
	if n, err := nc.Write([]byte(long)); n != len(long) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	p.Expect(wsproto.Binary, long[:32<<10])
	p.Expect(wsproto.Binary, long[32<<10:])
	if _, err := nc.Write(nil); err != nil {
		t.Error(err)
	}
	p.Expect(wsproto.Binary, "")

	text := c.NetConn(wsconn.Text)
	if _, err := text.Write([]byte(long)); err != nil {
		t.Error(err)
	}
	p.Expect(wsproto.Text, long)
	p.Send(wsproto.Binary, "?")
	read := make(chan error, 1)
	go func() {
		_, err := text.Read(got)
		read <- err
	}()
	p.ExpectClose(wsproto.UnsupportedData)
	p.SendFrames(wstest.CloseFrame(wsproto.UnsupportedData, ""))
	if err := <-read; err == nil || err == io.EOF {
		t.Errorf("message of the wrong type: %v", err)
	}
}

// TestNetConnEnd: which ends of the connection are an ordinary end of the stream.
func TestNetConnEnd(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(*wstest.Peer, net.Conn)
		want error
	}{
		{name: "1000", want: io.EOF, end: func(p *wstest.Peer, _ net.Conn) { p.Close(1000, "") }},
		{name: "1001", want: io.EOF, end: func(p *wstest.Peer, _ net.Conn) { p.Close(1001, "") }},
		{name: "no code", want: io.EOF, end: func(p *wstest.Peer, _ net.Conn) { p.Close(wsproto.NoStatus, "") }},
		{name: "no closing handshake", want: io.ErrUnexpectedEOF,
			end: func(p *wstest.Peer, _ net.Conn) { p.CloseNow() }},
		{name: "by us", want: net.ErrClosed, end: func(p *wstest.Peer, nc net.Conn) {
			go nc.Close()
			p.ExpectClose(1000)
			p.SendFrames(wstest.CloseFrame(1000, ""))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := wstest.Server(t, nil)
			nc := c.NetConn(wsconn.Text)
			p.Send(wsproto.Text, "last words")
			read := make(chan error, 1)
			first := make(chan bool)
			go func() {
				_, err := io.ReadFull(nc, make([]byte, 10))
				close(first)
				if err == nil {
					_, err = nc.Read(make([]byte, 10))
				}
				read <- err
			}()
			<-first
			test.end(p, nc)
			if err := <-read; !errors.Is(err, test.want) || test.want == io.EOF && err != io.EOF {
				t.Errorf("Read: %v, want %v", err, test.want)
			}
			if _, err := nc.Write(nil); err == nil {
				t.Error("Write after the end")
			}
		})
	}
}

// TestNetConnDeadlines: those that pass while a call waits, have passed, are moved, and are taken
// back.
func TestNetConnDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: -1}})
		nc := c.NetConn(wsconn.Binary)
		b := make([]byte, 10)
		expect := func(what string, want time.Duration, call func([]byte) (int, error)) {
			t.Helper()
			before := time.Now()
			_, err := call(b)
			if took := time.Since(before); took != want || err != os.ErrDeadlineExceeded {
				t.Errorf("%s: %v after %v", what, err, took)
			}
		}
		nc.SetReadDeadline(time.Now().Add(time.Second))
		expect("Read", time.Second, nc.Read)
		expect("Read again", 0, nc.Read)
		nc.SetReadDeadline(time.Now().Add(time.Second))
		time.AfterFunc(time.Second/2, func() { nc.SetReadDeadline(time.Now().Add(time.Minute)) })
		expect("Read with a deadline that is put off", time.Minute+time.Second/2, nc.Read)
		nc.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { nc.SetReadDeadline(time.Unix(1, 0)) })
		expect("Read without a deadline at first", time.Second, nc.Read)

		nc.SetDeadline(time.Time{})
		p.SendFrames(wstest.Frame{Opcode: wsproto.Binary, Payload: "first", More: true})
		if n, err := nc.Read(b); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		nc.SetReadDeadline(time.Now().Add(time.Second))
		expect("Read in a message", time.Second, nc.Read)
		nc.SetReadDeadline(time.Time{})
		p.SendFrames(wstest.Frame{Payload: "second"})
		if n, err := nc.Read(b); string(b[:n]) != "second" || err != nil {
			t.Errorf("%q, %v", b[:n], err)
		}

		if _, err := nc.Write(make([]byte, 32<<10)); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(make([]byte, 32<<10-8)); err != nil { // it fills the pipe
			t.Fatal(err)
		}
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		expect("Write", time.Second, nc.Write)
		nc.SetWriteDeadline(time.Time{})
		p.Message()
		if _, err := nc.Write(b); err != nil {
			t.Error(err)
		}
		nc.SetWriteDeadline(time.Now().Add(time.Second))
		b = make([]byte, 1<<20)
		expect("Write in the middle of a message", time.Second, nc.Write)
		nc.SetDeadline(time.Time{})
		_, err := nc.Write(nil)
		if timeout, ok := err.(net.Error); err == nil || ok && timeout.Timeout() {
			t.Errorf("Write after half a message: %v", err)
		}
	})
}
