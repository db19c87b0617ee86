package examples

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/myriadnet/myriad/wsproto/handshake"
)

// TestWSClient runs the client against a server of another library. The client echoes until the
// server closes. Its exit status shows how that was.
func TestWSClient(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		serve  func(t *testing.T, c net.Conn)
		stderr string // "": exit status 0
	}{
		{"echo", nil, func(t *testing.T, c net.Conn) {
			if offer := upgrade(t, c); offer != "" {
				t.Errorf("offers %q", offer)
			}
			for _, text := range []string{"hello", "", strings.Repeat("long ", 100_000)} {
				for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
					if err := wsutil.WriteServerMessage(c, op, []byte(text)); err != nil {
						t.Error(err)
					}
					if b, got, err := wsutil.ReadClientData(c); err != nil || got != op || string(b) != text {
						t.Errorf("opcode %x, %d bytes, %v", got, len(b), err)
					}
				}
			}
			ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
			wantClientsClose(t, c, ws.StatusNormalClosure)
		}, ""},
		{"compression", []string{"-compress"}, func(t *testing.T, c net.Conn) {
			if offer := upgrade(t, c); offer != "permessage-deflate; client_max_window_bits" {
				t.Errorf("offers %q", offer)
			}
			ws.WriteFrame(c, ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusNormalClosure, "")))
			wantClientsClose(t, c, ws.StatusNormalClosure)
		}, ""},
		{"no WebSocket there", nil, func(t *testing.T, c net.Conn) {
			http.ReadRequest(bufio.NewReader(c))
			c.Write([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
		}, "status 404"},
		{"broken rule", nil, func(t *testing.T, c net.Conn) {
			upgrade(t, c)
			c.Write([]byte{0xF1, 0})
			wantClientsClose(t, c, ws.StatusProtocolError)
		}, "reserved bit"},
		{"no answer", []string{"-handshake-timeout", "50ms"},
			func(t *testing.T, c net.Conn) { c.Read(make([]byte, 1000)); c.Read(make([]byte, 1)) },
			"deadline exceeded"},
	} {
		t.Run(test.name, func(t *testing.T) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			cmd := exec.Command(filepath.Join(folder, "wsclient"),
				append(test.args, "-url", "ws://"+ln.Addr().String()+"/case?n=1")...)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			c.SetDeadline(time.Now().Add(patience))
			test.serve(t, c)
			c.Close()
			if err := cmd.Wait(); (err == nil) != (test.stderr == "") ||
				!strings.Contains(stderr.String(), test.stderr) {
				t.Errorf("%v, %q", err, stderr.String())
			}
		})
	}
}

// upgrade accepts the handshake and returns the extensions that were offered.
func upgrade(t *testing.T, c net.Conn) (offer string) {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		t.Error(err)
		return ""
	}
	b, err := handshake.AppendResponse(nil, []byte(r.Header.Get("Sec-WebSocket-Key")), "", nil, nil)
	if _, werr := c.Write(b); err != nil || werr != nil {
		t.Error(err, werr)
	}
	return r.Header.Get("Sec-WebSocket-Extensions")
}

func wantClientsClose(t *testing.T, c net.Conn, code ws.StatusCode) {
	t.Helper()
	_, _, err := wsutil.ReadClientData(c)
	if closed := (wsutil.ClosedError{}); !errors.As(err, &closed) || closed.Code != code {
		t.Errorf("%v, want close code %d", err, code)
	}
}
