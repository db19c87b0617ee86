package websocket_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// TestAdvisories does to our servers and clients what was done to others: what each advisory was
// about at its root, on real sockets. Those that are about a single function have their tests
// beside it, see TestRulesHaveTests.
func TestAdvisories(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"CVE-2020-27813: the sum of fragments' lengths overflows and passes the limit": func(t *testing.T) {
			refuses(t, &websocket.Server{Limits: websocket.Limits{MaxMessage: 1000}}, 1009,
				"02 81 00000000 41 80 FF 7FFFFFFFFFFFFFFF 00000000")
			refuses(t, &websocket.Server{Limits: websocket.Limits{MaxMessage: math.MaxInt}}, 1009,
				"02 82 00000000 4141 80 FF 7FFFFFFFFFFFFFFF 00000000")
		},
		"CVE-2020-13935: a negative length makes the loop spin": func(t *testing.T) {
			refuses(t, &websocket.Server{}, 1002, "82 FF FFFFFFFFFFFFFFFF 00000000")
		},
		"CVE-2026-27889: a length near 2^63 overflows an index": func(t *testing.T) {
			refuses(t, &websocket.Server{}, 1009, "82 FF 7FFFFFFFFFFFFFFF 00000000 414141")
			refuses(t, &websocket.Server{}, 1009, "82 FF 7FFFFFFFFFFFFFF2 00000000 414141")
		},
		"CVE-2026-1528: a server's length overflows the client": func(t *testing.T) {
			clientRefuses(t, true, "82 7F 7FFFFFFFFFFFFFFF 414141", 1009)
			clientRefuses(t, true, "82 7F FFFFFFFFFFFFFFFF 414141", 1002)
		},
		"CVE-2022-35922: memory is allocated for the declared length": declaredLength,
		"CVE-2014-0193: continuation frames without an end": func(t *testing.T) {
			refuses(t, &websocket.Server{}, 1009, "02 80 00000000"+
				strings.Repeat("00 FE FFFF 00000000"+strings.Repeat("41", 65535), 17))
			refuses(t, &websocket.Server{}, 1008, "02 80 00000000"+strings.Repeat("00 80 00000000", 2048))
		},
		"CVE-2026-48779: what is kept per fragment costs more than its bytes": tinyFragments,
		"CVE-2026-1526: a server's compressed bomb": func(t *testing.T) {
			b := bomb(t, 64<<20)
			before := allocated()
			clientRefuses(t, true, b, 1009)
			if n := allocated() - before; n > 16<<20 {
				t.Errorf("%d bytes were allocated for a limit of 1 MiB", n)
			}
		},
		"CVE-2026-2229: a window size that is none": func(t *testing.T) {
			for _, bits := range []string{"", "=", "=0", "=7", "=16", "=1000", "=x", "=-8", "=15.0",
				"=8; server_max_window_bits=8"} {
				answerRefused(t, "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits"+bits+"\r\n")
			}
		},
		"CVE-2026-33219: what one peer sends before anybody knows it takes all memory": withoutEnd,
		"GHSA-mq44-7p77-q5h7: compressed frames that were not agreed on are inflated": func(t *testing.T) {
			refuses(t, &websocket.Server{}, 1002, "C1 87 00000000 F248CDC9C90700")
			clientRefuses(t, false, "C1 07 F248CDC9C90700", 1002)
			answerRefusedBy(t, &websocket.Client{}, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
		},
		"GHSA-mfx4-hv73-q22v: the content of a handshake is read as another request": func(t *testing.T) {
			_, address := start(t, &websocket.Server{Message: echo,
				Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					t.Errorf("a request for %s", r.URL)
				})}, engine.Config{Loops: 1})
			const evil = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"
			for _, lines := range []string{fmt.Sprintf("Content-Length: %d", len(evil)),
				"Transfer-Encoding: chunked"} {
				if err := refusedRequest(address, strings.Replace(goodRequest, "\r\n\r\n", "\r\n"+lines+"\r\n\r\n"+evil,
					1), 400); err != nil {
					t.Errorf("%s: %v", lines, err)
				}
			}
			// what follows no content is frames
			c := connect(t, address, strings.Replace(goodRequest, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n"+evil, 1))
			c.response(t, 101)
			if f, err := readFrame(c.r); err != nil || f.Header.OpCode != ws.OpClose {
				t.Errorf("behind Content-Length: 0: %v, %v", f.Header, err)
			}
			if err := refusedFrame(address, badFrame{frames: hex.EncodeToString([]byte(evil)),
				code: 1002}); err != nil {
				t.Errorf("behind the handshake: %v", err)
			}
		},
		"CVE-2021-3690: each pong leaks a buffer": func(t *testing.T) {
			eng, address := start(t, &websocket.Server{Message: echo, Limits: websocket.Limits{ControlRate: -1}},
				engine.Config{Loops: 1})
			c := dial(t, address)
			pongs := bytes.Repeat(wsproto.AppendMasked(nil, wsproto.Pong, 7, make([]byte, 100)), 1000)
			send := func(thousands int) int64 {
				for range thousands {
					c.Write(pongs)
				}
				c.ask(t, ws.OpText, "all read")
				return heap()
			}
			if grown := -send(10) + send(100); grown > 1<<20 {
				t.Errorf("%d bytes after 100,000 pongs", grown)
			}
			if s, err := eng.Stats(t.Context()); err != nil || s.Buffers > 0 {
				t.Errorf("%d buffers, %v", s.Buffers, err)
			}
		},
		"CVE-2020-35896: what a peer does not read grows without a bound": outboundGrowth,
		"CVE-2025-12689: a text that is not UTF-8 reaches the application": func(t *testing.T) {
			refuses(t, &websocket.Server{}, 1007, "81 84 00000000 61F0286A")
			refuses(t, &websocket.Server{}, 1007, "01 81 00000000 F0 00 81 00000000 28 80 81 00000000 8C")
			clientRefuses(t, true, "81 02 C328", 1007)
		},
	} {
		t.Run(name, test)
	}
}

// refuses wants a server to refuse frames, in hexadecimal, with a code, to go on serving others,
// and not to have seen a panic.
func refuses(t *testing.T, s *websocket.Server, code ws.StatusCode, frames string) {
	t.Helper()
	s.Message = echo
	eng, address := start(t, s, engine.Config{Loops: 1})
	witness := dial(t, address)
	if err := refusedFrame(address, badFrame{frames: frames, code: code}); err != nil {
		t.Error(err)
	}
	witness.ask(t, ws.OpText, "still there?")
	wantNoPanic(t, eng)
}

func wantNoPanic(t *testing.T, eng *engine.Engine) {
	t.Helper()
	if s, err := eng.Stats(t.Context()); err != nil || s.Panics > 0 {
		t.Errorf("%d panics, %v", s.Panics, err)
	}
}

// clientRefuses wants a client to refuse a server's frames, on a connection that has agreed on
// compression or not, and the connection's memory to be free then.
func clientRefuses(t *testing.T, compressed bool, frames string, code websocket.CloseCode) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(frames, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	eng := running(t, engine.Config{Loops: 1})
	extensions := ""
	if compressed {
		extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	}
	told := make(chan ws.StatusCode, 1)
	address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
		nc.Write(append([]byte(accept(q, extensions)), b...))
		f, err := readFrame(r)
		if err != nil || f.Header.OpCode != ws.OpClose || !f.Header.Masked {
			t.Errorf("the client answers with %+v, %v", f.Header, err)
		}
		ws.Cipher(f.Payload, f.Header.Mask, 0)
		code, _ := ws.ParseCloseFrameData(f.Payload)
		told <- code
	})
	ended := make(chan error, 1)
	client := &websocket.Client{Close: func(_ *websocket.Conn, err error) { ended <- err },
		Compression: &websocket.Compression{ServerTakeover: true}}
	if o := open(t, client, eng, "ws://"+address); o.err != nil {
		t.Fatal(o.err)
	}
	var broken *wsproto.ProtocolError
	if err := receive(t, "end", ended); !errors.As(err, &broken) || broken.Code != code {
		t.Errorf("%.40s: %v, want code %d", frames, err, code)
	}
	if got := receive(t, "close code", told); websocket.CloseCode(got) != code {
		t.Errorf("%.40s: the server was told code %d, want %d", frames, got, code)
	}
	await(t, eng, func(s engine.Stats) bool { return s.Connections == 0 && s.Buffers == 0 && s.Panics == 0 })
}

// answerRefused wants a client that offers compression to refuse an answer with further lines.
func answerRefused(t *testing.T, lines string) {
	t.Helper()
	answerRefusedBy(t, &websocket.Client{Compression: &websocket.Compression{}}, lines)
}

func answerRefusedBy(t *testing.T, c *websocket.Client, lines string) {
	t.Helper()
	eng := running(t, engine.Config{Loops: 1})
	address := scripted(t, func(nc net.Conn, r *bufio.Reader, q *http.Request) {
		io.WriteString(nc, accept(q, lines))
		io.Copy(io.Discard, r)
	})
	var refused *handshake.Error
	if o := open(t, c, eng, "ws://"+address); !errors.As(o.err, &refused) {
		t.Errorf("%q: %v", lines, o.err)
	}
	await(t, eng, func(s engine.Stats) bool { return s.Connections == 0 && s.Panics == 0 })
}

// bomb is a server's compressed message of n zeros.
func bomb(t *testing.T, n int) string {
	out := deflate.New(deflate.Compression{Level: 9}).Append(nil, make([]byte, n), nil, 15)
	h := wsproto.AppendHeader(nil, wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: wsproto.Binary,
		Length: uint64(len(out))})
	return hex.EncodeToString(append(h, out...))
}
