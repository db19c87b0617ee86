package websocket_test

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/myriadnet/myriad/wsproto"
)

const secureAddress = 2

// populate lets peers connect, and returns when they have gone.
func (w *world) populate(seed uint64) {
	const peers, each = 24, 12
	var all sync.WaitGroup
	for range peers {
		all.Go(func() {
			for range each {
				w.peer()
			}
		})
	}
	if seed%3 > 0 { // the engine ends meanwhile
		time.Sleep(time.Duration(w.n(500)) * time.Millisecond)
		if seed%3 == 1 {
			w.eng.Shutdown(w.t.Context())
		} else {
			w.eng.Close()
		}
	}
	all.Wait()
}

func (w *world) path() string { return [...]string{"/", "/a", "/b/c", "/none"}[w.n(4)] }

// peer is a client.
func (w *world) peer() {
	address := w.n(4)
	nc, err := net.Dial("tcp", w.addresses[address])
	if err != nil {
		return
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Second))
	if w.n(3) == 0 {
		nc.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	if address == secureAddress {
		protos := [][]string{nil, {"h2"}, {"http/1.1"}}[w.n(3)]
		nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true, NextProtos: protos})
	}
	r := bufio.NewReader(nc)
	if w.n(4) == 0 {
		io.WriteString(nc, get)
		if resp, err := http.ReadResponse(r, nil); err != nil {
			return
		} else if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return
		}
	}
	request := openingRequest(w.path(), "Sec-WebSocket-Protocol: q, p")
	next, cut := 0, false
	if w.n(2) == 0 { // it does not wait
		next = w.n(5)
		b := []byte(request)
		for i := range next {
			b = wsproto.AppendMasked(b, wsproto.Text, 77, []byte("m"+strconv.Itoa(i)))
		}
		if cut = w.n(3) == 0; cut {
			b = b[:w.n(len(b))]
		}
		nc.Write(b)
	} else {
		io.WriteString(nc, request)
	}
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		return
	}
	if !cut {
		go w.write(nc, next)
	}
	w.read(r)
}

// write sends messages, and ends somehow.
func (w *world) write(nc net.Conn, next int) {
	for range w.n(30) {
		var b []byte
		switch w.n(6) {
		case 0:
			b = wsproto.AppendMasked(b, wsproto.Ping, 5, []byte("peer"))
		case 1:
			b = wsproto.AppendMasked(b, wsproto.Binary, 5, make([]byte, w.n(30<<10)))
		case 2:
			time.Sleep(w.soon())
		default:
			b = wsproto.AppendMasked(b, wsproto.Text, 78, []byte("m"+strconv.Itoa(next)))
			next++
		}
		if _, err := nc.Write(b); err != nil {
			return
		}
	}
	switch w.n(6) {
	case 0:
		nc.Close()
	case 1:
		if tcp, ok := nc.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		nc.Close()
	case 2:
		nc.(interface{ CloseWrite() error }).CloseWrite()
	case 3:
		io.WriteString(nc, "garbage")
	case 4:
		nc.Write(wsproto.AppendMasked(nil, wsproto.Close, 5, []byte{3, 232}))
	}
}

// read checks what comes.
func (w *world) read(r *bufio.Reader) {
	slow, next := w.n(3) == 0, 0
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		if f.Header.Masked || f.Header.Rsv != 0 || f.Header.OpCode > ws.OpPong {
			w.t.Errorf("a frame %+v", f.Header)
		}
		if n, ok := strings.CutPrefix(string(f.Payload), "s"); ok && f.Header.OpCode == ws.OpText {
			if n != strconv.Itoa(next) {
				w.t.Errorf("message %s from the server, want %d", n, next)
			}
			next++
		}
		if f.Header.OpCode == ws.OpClose && w.n(2) == 0 {
			return
		}
		if slow {
			time.Sleep(w.soon() / 10)
		}
	}
}
