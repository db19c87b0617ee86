package websocket_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// halfRequest is an opening handshake without its key and end.
const halfRequest = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\n"

// TestHandshakesInProgressAreLimited: those that one address may have, and all together; open
// connections do not count, and those that end make room.
func TestHandshakesInProgressAreLimited(t *testing.T) {
	eng, address := start(t, &websocket.Server{Message: echo, MaxHandshakes: 12}, engine.Config{Loops: 1})
	_, port, _ := net.SplitHostPort(address)
	half := func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		nc, err := d.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		nc.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(nc, halfRequest)
		return nc
	}
	finish := func(nc net.Conn) int {
		t.Helper()
		// may come too late for a connection that was refused
		fmt.Fprint(nc, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		r, err := http.ReadResponse(bufio.NewReader(nc), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode != 101 {
			nc.Close()
		}
		return r.StatusCode
	}
	accepted := func(n uint64) {
		t.Helper()
		await(t, eng, func(s engine.Stats) bool { return s.Accepted == n })
	}
	var waiting []net.Conn
	for range 3 {
		waiting = append(waiting, half("127.0.0.1"))
	}
	accepted(3)
	if code := finish(half("127.0.0.1")); code != 503 {
		t.Fatalf("the fourth of one address gets %d", code)
	}
	if code := finish(half("127.0.0.2")); code != 101 {
		t.Fatalf("another address gets %d", code)
	}
	for i := range 8 {
		waiting = append(waiting, half(fmt.Sprintf("127.0.0.%d", 3+i/3)))
	}
	accepted(13)
	// Four addresses cannot have all: the last place is for one that has none.
	if code := finish(half("127.0.0.5")); code != 503 {
		t.Fatalf("the third of an address gets %d, when one is left for others", code)
	}
	waiting = append(waiting, half("127.0.0.6"))
	accepted(15)
	if code := finish(half("127.0.0.9")); code != 503 {
		t.Fatalf("the thirteenth of all gets %d", code)
	}
	if code := finish(waiting[0]); code != 101 {
		t.Fatalf("one that waited gets %d", code)
	}
	waiting[1].Close()
	await(t, eng, func(s engine.Stats) bool { return s.Connections == 2+10 })
	for range 2 {
		if code := finish(half("127.0.0.1")); code != 101 {
			t.Fatalf("after one was done and one had gone, the next gets %d", code)
		}
	}
}

// TestAddressCounterForgets: addresses that were there once take no memory.
func TestAddressCounterForgets(t *testing.T) {
	eng, address := start(t, &websocket.Server{}, engine.Config{Loops: 1})
	_, port, _ := net.SplitHostPort(address)
	visit := func(first byte, n int) {
		for i := range n {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, first, byte(i>>8), byte(i))}}
			nc, err := d.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				t.Fatal(err)
			}
			nc.Close()
		}
		await(t, eng, func(s engine.Stats) bool { return s.Connections == 0 })
	}
	visit(1, 100)
	before := heap()
	visit(2, 2000)
	if grown := heap() - before; grown > 64<<10 {
		t.Errorf("%d bytes more of heap after visits from 2,000 addresses", grown)
	}
}

// TestSharesOfOneAddress are fields: a proxy in front is one address, and a quarter was all that
// its clients could have.
func TestSharesOfOneAddress(t *testing.T) {
	site := newSite()
	for _, test := range []struct {
		name             string
		mux              bool
		perAddress, want int
	}{
		{name: "a quarter", want: 2},
		{name: "a share", perAddress: 5, want: 5},
		{name: "all", perAddress: -1, want: 8},
		{name: "a quarter of a Mux", mux: true, want: 2},
		{name: "all of a Mux", mux: true, perAddress: -1, want: 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := test.perAddress
			s := &websocket.Server{Handler: site, MaxHandshakes: 8, MaxHandshakesPerAddress: n}
			web := &websocket.Server{Handler: site, MaxHTTP: 8, MaxHTTPPerAddress: n}
			accept, acceptWeb := s.Accept, web.Accept
			if test.mux {
				m := &websocket.Mux{Handler: site, MaxHandshakes: 8, MaxHandshakesPerAddress: n}
				web := &websocket.Mux{Handler: site, MaxHTTP: 8, MaxHTTPPerAddress: n}
				accept, acceptWeb = m.Accept, web.Accept
			}
			address := startAccept(t, accept)
			for range test.want {
				connect(t, address, halfRequest)
			}
			connect(t, address, "").response(t, 503)
			address = startAccept(t, acceptWeb)
			for range test.want { // they stay, idle
				connect(t, address, get).response(t, 200)
			}
			connect(t, address, get).response(t, 503)
		})
	}
}

// TestStartLineOfAnyLength: a token in the query may be longer than half of the header.
func TestStartLineOfAnyLength(t *testing.T) {
	long := "/?token=" + strings.Repeat("x", 12<<10)
	for _, test := range []struct {
		name   string
		limits websocket.Limits
		status int
	}{
		{name: "default", status: 414},
		{name: "longer", limits: websocket.Limits{MaxStartLine: 13 << 10}, status: 101},
		{name: "any", limits: websocket.Limits{MaxStartLine: -1}, status: 101},
		{name: "any in a short header", limits: websocket.Limits{MaxStartLine: -1, MaxHeader: 8 << 10}, status: 431},
		{name: "short", limits: websocket.Limits{MaxStartLine: 100, MaxHeader: -1}, status: 414},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &websocket.Server{Limits: test.limits, Refused: func(websocket.Refusal) {}}
			eng, address := start(t, s, engine.Config{Loops: 1})
			connect(t, address, openingRequest(long)).response(t, test.status)
			if address, _ = taking(t, s, eng); test.status != 431 {
				connect(t, address, openingRequest("/rooms/1"+long[1:])).response(t, test.status)
			}
		})
	}
}

func TestLimitsOfTheHeader(t *testing.T) {
	_, address := start(t, &websocket.Server{Limits: websocket.Limits{MaxHeader: 300, MaxHeaderFields: 8}},
		engine.Config{Loops: 1})
	for _, test := range []struct {
		name, further string
		want          int
	}{
		{"within", "X: y\r\nX: y\r\nX: y\r\n", 101},
		{"too many fields", "X: y\r\nX: y\r\nX: y\r\nX: y\r\n", 431},
		{"too long", "X: " + fmt.Sprintf("%0200d", 0) + "\r\n", 431},
	} {
		nc, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(patience))
		fmt.Fprint(nc, halfRequest+test.further+"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(nc), nil); err != nil || r.StatusCode != test.want {
			t.Errorf("%s: %v, %v; want %d", test.name, r, err, test.want)
		}
	}
}
