package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
)

// browserRequest is an opening handshake of a browser.
const browserRequest = "GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nPragma: no-cache\r\n" +
	"Cache-Control: no-cache\r\n" +
	"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 " +
	"Safari/537.36\r\n" +
	"Upgrade: websocket\r\nOrigin: http://example.com\r\nSec-WebSocket-Version: 13\r\n" +
	"Accept-Encoding: gzip, deflate\r\n" +
	"Accept-Language: en-US,en;q=0.9\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
	"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"

var kinds = []struct {
	name string
	op   wsproto.Opcode
}{{"binary", wsproto.Binary}, {"text", wsproto.Text}}

var messageSizes = []int{32, 1 << 10, 64 << 10}

func message(size int) []byte { return []byte(strings.Repeat("Myriad. ", size/8)) }

// accepted returns a connection after its opening handshake.
func accepted(t testing.TB, accept acceptor, nc *stream) server {
	t.Helper()
	nc.opening = []byte(browserRequest)
	c, err := accept(nc)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// BenchmarkReceive receives messages of one frame each. gorilla and coder do not check that a text
// is UTF-8; the others do.
func BenchmarkReceive(b *testing.B) {
	for _, kind := range kinds {
		for _, size := range messageSizes {
			for _, s := range servers {
				b.Run(fmt.Sprintf("type=%s/size=%d/impl=%s", kind.name, size, s.name), func(b *testing.B) {
					frame := wsproto.AppendMasked(nil, kind.op, key, message(size))
					c := accepted(b, s.accept, &stream{frame: frame, left: b.N})
					b.SetBytes(int64(size))
					b.ReportAllocs()
					b.ResetTimer()
					if err := c.receive(b.N, func([]byte) {}); err != nil {
						b.Fatal(err)
					}
				})
			}
		}
	}
}

// BenchmarkSend sends messages. A second Write costs little here, but is a system call over TCP.
func BenchmarkSend(b *testing.B) {
	for _, size := range messageSizes {
		for _, s := range servers {
			b.Run(fmt.Sprintf("size=%d/impl=%s", size, s.name), func(b *testing.B) {
				c, m := accepted(b, s.accept, new(stream)), message(size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := c.send(wsproto.Binary, m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkHandshake answers a browser's opening handshake until the connection is ready for
// messages. gorilla, gws and coder let net/http parse the request; of that, only http.ReadRequest
// and its two buffers are included. gobwas and gws do not check the Origin; the others compare it
// with the Host.
func BenchmarkHandshake(b *testing.B) {
	for _, s := range servers {
		b.Run("impl="+s.name, func(b *testing.B) {
			nc, opening := new(stream), []byte(browserRequest)
			b.ReportAllocs()
			for b.Loop() {
				nc.opening = opening
				if _, err := s.accept(nc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestServers checks that each server really does what is measured.
func TestServers(t *testing.T) {
	for _, s := range servers {
		for _, kind := range kinds {
			for _, size := range messageSizes {
				t.Run(fmt.Sprintf("%s %s of %d", s.name, kind.name, size), func(t *testing.T) {
					want := message(size)
					wire := &stream{frame: wsproto.AppendMasked(nil, kind.op, key, want), left: 3, keep: true}
					c := accepted(t, s.accept, wire)
					answer, _, _ := bytes.Cut(wire.kept, []byte("\r\n\r\n"))
					if accept := ": s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; !bytes.Contains(answer, []byte(accept)) {
						t.Fatalf("answer: %s", answer)
					}
					wire.kept = nil
					if err := c.send(kind.op, want); err != nil {
						t.Fatal(err)
					}
					checkSent(t, wire.kept, kind.op, want)
					n := 0
					err := c.receive(3, func(b []byte) {
						if n++; !bytes.Equal(b, want) {
							t.Errorf("message %d: %d bytes, %.32q", n, len(b), b)
						}
					})
					if err != nil || n != 3 {
						t.Fatalf("%d messages: %v", n, err)
					}
				})
			}
		}
	}
}

func checkSent(t *testing.T, frame []byte, op wsproto.Opcode, want []byte) {
	t.Helper()
	client := wsproto.NewReceiver(&wsproto.Config{Role: wsproto.Client}, nil)
	ev, n, err := client.Next(frame)
	if err != nil || n != len(frame) || ev.Kind != wsproto.EventMessage || ev.Opcode != op ||
		!bytes.Equal(ev.Payload, want) {
		t.Fatalf("sent %v of %d bytes, %d of %d: %v", ev.Opcode, len(ev.Payload), n, len(frame), err)
	}
}
