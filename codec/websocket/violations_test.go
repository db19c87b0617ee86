package websocket_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// goodRequest is an opening handshake by the rules.
const goodRequest = halfRequest +
	"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// badRequests are goodRequest with one thing changed, and the status that it is refused with.
var badRequests = []struct {
	name     string
	old, new string
	status   int
}{
	{"POST", "GET", "POST", 405},
	{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 505},
	{"absolute form of another host", "GET /", "GET http://y/", 400},
	{"bare LF", "x\r\n", "x\n", 400},
	{"folded field", "Host: x\r\n", "Host: x\r\nX: y\r\n z\r\n", 400},
	{"NUL", "Host: x\r\n", "Host: x\r\nX: \x00\r\n", 400},
	{"control character", "Host: x\r\n", "Host: x\r\nX: \x7f\r\n", 400},
	{"space before a colon", "Host:", "Host :", 400},
	{"no Host", "Host: x\r\n", "", 400},
	{"two Hosts", "Host: x\r\n", "Host: x\r\nHost: x\r\n", 400},
	{"malformed Host", "Host: x", "Host: x/y", 400},
	{"no key", "Sec-WebSocket-Key", "X-Key", 400},
	{"two keys", "Host: x\r\n", "Host: x\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n", 400},
	{"key of 15 bytes", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAA", 400},
	{"no version", "Sec-WebSocket-Version", "X-Version", 426},
	{"version 8", "13", "8", 426},
	{"Content-Length", "Host: x\r\n", "Host: x\r\nContent-Length: 5\r\n", 400},
	{"Transfer-Encoding", "Host: x\r\n", "Host: x\r\nTransfer-Encoding: chunked\r\n", 400},
	{"Content-Length and Transfer-Encoding", "Host: x\r\n",
		"Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
	{"no upgrade in Connection", "Connection: Upgrade", "Connection: close", 400},
	{"no token in Connection", "Connection: Upgrade", "Connection: Upgrade, a b", 400},
	{"another Upgrade", "Upgrade: websocket", "Upgrade: h2c", 426},
	{"long request line", "GET /", "GET /" + strings.Repeat("x", 8<<10), 414},
	{"long header", "Host: x\r\n", "Host: x\r\nX: " + strings.Repeat("x", 16<<10) + "\r\n", 431},
	{"many fields", "Host: x\r\n", "Host: x\r\n" + strings.Repeat("X: y\r\n", 100), 431},
	{"subprotocols that are no tokens", "Host: x\r\n", "Host: x\r\nSec-WebSocket-Protocol: a b\r\n", 400},
	{"another origin", "Host: x\r\n", "Host: x\r\nOrigin: https://evil.com\r\n", 403},
}

// badFrame is what a client sends that breaks a rule, in hexadecimal and masked with zeros, and the
// code that it is refused with.
type badFrame struct {
	name       string
	frames     string
	code       ws.StatusCode
	compressed bool // on a connection that has agreed on permessage-deflate
}

// badFrames has one for each rule, for a server that limits messages to 1,000 bytes and 8
// fragments, and control frames to 10 per second.
func badFrames(t *testing.T) []badFrame {
	x := func(n int) string { return strings.Repeat("41", n) }
	compress := func(op wsproto.Opcode, message string) string {
		out := deflate.New(deflate.Compression{}).Append(nil, []byte(message), nil, 15)
		h := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: op, Masked: true,
			Length: uint64(len(out))})
		return hex.EncodeToString(append(h, out...))
	}
	bad := []badFrame{
		{name: "text that is not masked", frames: "81 01 41", code: 1002},
		{name: "ping that is not masked", frames: "89 00", code: 1002},
		{name: "not masked, and no length that is allowed", frames: "82 7F FFFFFFFFFFFFFFFF", code: 1002},
		{name: "RSV1", frames: "C1 80 00000000", code: 1002},
		{name: "RSV2", frames: "A1 80 00000000", code: 1002},
		{name: "RSV3", frames: "91 80 00000000", code: 1002},
		{name: "ping of 126 bytes", frames: "89 FE 007E 00000000" + x(126), code: 1002},
		{name: "fragmented ping", frames: "09 80 00000000", code: 1002},
		{name: "fragmented close", frames: "08 80 00000000", code: 1002},
		{name: "16-bit length of 125", frames: "82 FE 007D 00000000" + x(125), code: 1002},
		{name: "64-bit length of 125", frames: "82 FF 000000000000007D 00000000" + x(125), code: 1002},
		{name: "top bit of the length", frames: "82 FF 8000000000000001 00000000", code: 1002},
		{name: "continuation of nothing", frames: "80 80 00000000", code: 1002},
		{name: "continuation after the end", frames: "01 80 00000000 80 80 00000000 80 80 00000000", code: 1002},
		{name: "text within a message", frames: "02 81 00000000 41 81 80 00000000", code: 1002},
		{name: "close of 1 byte", frames: "88 81 00000000 03", code: 1002},
		{name: "close with a reason that is not UTF-8", frames: "88 83 00000000 03E8 FF", code: 1007},
		{name: "text that is not UTF-8", frames: "81 81 00000000 FF", code: 1007},
		{name: "text that ends within a character", frames: "81 81 00000000 C3", code: 1007},
		{name: "text that cannot become UTF-8", frames: "01 81 00000000 C3 00 81 00000000 41", code: 1007},
		{name: "message over the limit", frames: "82 FE 03E9 00000000", code: 1009},
		{name: "fragments over the limit", frames: "02 FE 03E8 00000000" + x(1000) + "80 81 00000000 41", code: 1009},
		{name: "2^62 bytes", frames: "82 FF 4000000000000000 00000000", code: 1009},
		{name: "2^63-1 bytes behind others", frames: "02 81 00000000 41 80 FF 7FFFFFFFFFFFFFFF 00000000", code: 1009},
		{name: "too many fragments", frames: "01 80 00000000" + strings.Repeat("00 80 00000000", 8), code: 1008},
		{name: "too many pings", frames: strings.Repeat("89 80 00000000", 101), code: 1008},
		{name: "too many pongs", frames: strings.Repeat("8A 80 00000000", 101), code: 1008},

		{name: "RSV1 of a continuation", frames: "41 81 00000000 F2 C0 80 00000000", code: 1002, compressed: true},
		{name: "RSV1 of a ping", frames: "C9 80 00000000", code: 1002, compressed: true},
		{name: "RSV2 beside RSV1", frames: "E1 81 00000000 00", code: 1002, compressed: true},
		{name: "compressed garbage", frames: "C1 82 00000000 0707", code: 1007, compressed: true},
		{name: "reference to what never was", frames: "C1 85 00000000 F200110000", code: 1007, compressed: true},
		{name: "compressed text that is not UTF-8", frames: compress(wsproto.Text, strings.Repeat("\xff", 500)),
			code: 1007, compressed: true},
		{name: "bomb", frames: compress(wsproto.Binary, strings.Repeat("\x00", 200_000)), code: 1009, compressed: true},
		{name: "too many last blocks", frames: "C2 FE 0080 00000000" + strings.Repeat("0300", 64), code: 1008,
			compressed: true},
	}
	for _, op := range []int{3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF} {
		bad = append(bad, badFrame{name: fmt.Sprintf("opcode %X", op), frames: fmt.Sprintf("%X 80 00000000", 0x80|op),
			code: 1002})
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535} {
		bad = append(bad, badFrame{name: fmt.Sprintf("close code %d", code),
			frames: fmt.Sprintf("88 82 00000000 %04X", code), code: 1002})
	}
	return bad
}

// TestEveryViolationGetsItsStatusOrCode, and its connection leaves nothing behind: what a rule's
// breaker had sent before, its buffers, windows and timers are gone, and no byte of what it sends
// after is looked at.
func TestEveryViolationGetsItsStatusOrCode(t *testing.T) {
	server := &websocket.Server{
		Limits: websocket.Limits{MaxMessage: 1000, MaxFragments: 8, ControlRate: 10},
		Message: func(_ *websocket.Conn, _ websocket.Opcode, data []byte) {
			if string(data) == "evil" {
				t.Error("a message behind a broken rule is delivered")
			}
		},
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true},
	}
	eng, address := start(t, server, engine.Config{Loops: 1})
	frames := badFrames(t)
	round := func(check func(name string, err error)) {
		for _, c := range badRequests {
			check(c.name, refusedRequest(address, strings.Replace(goodRequest, c.old, c.new, 1), c.status))
		}
		for _, c := range frames {
			check(c.name, refusedFrame(address, c))
		}
	}
	round(func(name string, err error) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	if t.Failed() {
		return
	}
	gone := func() {
		await(t, eng, func(s engine.Stats) bool { return s.Connections == 0 })
		s, err := eng.Stats(t.Context())
		if err != nil || s.Buffers != 0 || s.Buffered != 0 || s.Timers != 0 || s.Tasks != 0 {
			t.Fatalf("%d buffers of %d bytes, %d timers, %d tasks are left, %v", s.Buffers, s.Buffered, s.Timers,
				s.Tasks, err)
		}
	}
	gone()
	// bytes: 20 connections of each kind may not leave 800 together
	const rounds, slack = 20, 16 << 10
	before := heap()
	for range rounds {
		round(func(name string, err error) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		})
	}
	gone()
	if grown := heap() - before; grown > slack {
		t.Errorf("%d bytes more of heap after %d connections that broke a rule", grown,
			rounds*(len(badRequests)+len(frames)))
	}
}

// refusedRequest sends a request, with a second one behind it, and wants one answer, with this
// status, and the end of the connection.
func refusedRequest(address, request string, status int) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, request+goodRequest)
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != status || !response.Close ||
		status == 426 && response.Header.Get("Sec-WebSocket-Version") != "13" {
		return fmt.Errorf("status %d, header %v; want %d", response.StatusCode, response.Header, status)
	}
	return wantEnd(r)
}

// refusedFrame sends frames, and a message behind them, and wants a Close frame with their code and
// the end of the connection.
func refusedFrame(address string, bad badFrame) error {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	request := goodRequest
	if bad.compressed {
		request = strings.Replace(request, "\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", 1)
	}
	frames, err := hex.DecodeString(strings.ReplaceAll(bad.frames, " ", ""))
	if err != nil {
		return err
	}
	c.Write(wsproto.AppendMasked(append([]byte(request), frames...), wsproto.Text, 7, []byte("evil")))
	r := bufio.NewReader(c)
	if response, err := http.ReadResponse(r, nil); err != nil || response.StatusCode != 101 {
		return fmt.Errorf("handshake: %v, %w", response, err)
	}
	for {
		f, err := readFrame(r)
		if err != nil {
			return err
		}
		if f.Header.OpCode == ws.OpPong {
			continue
		}
		if code, reason := ws.ParseCloseFrameData(f.Payload); f.Header.OpCode != ws.OpClose || code != bad.code ||
			reason == "" {
			return fmt.Errorf("opcode %x, code %d %q; want code %d and a reason", f.Header.OpCode, code, reason,
				bad.code)
		}
		return wantEnd(r)
	}
}

func wantEnd(r io.Reader) error {
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		return fmt.Errorf("after the answer: %q, %w", bytes.TrimSpace(rest), err)
	}
	return nil
}

// heap is what is live, in bytes.
func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
