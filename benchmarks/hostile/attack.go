package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// open opens a WebSocket without any library, so that its end can misbehave.
func open(address string, compressed bool) (net.Conn, *bufio.Reader, error) {
	return openBy(&net.Dialer{Timeout: 5 * time.Second}, address, compressed)
}

func openBy(d *net.Dialer, address string, compressed bool) (net.Conn, *bufio.Reader, error) {
	nc, err := d.Dial("tcp", address)
	if err != nil {
		return nil, nil, err
	}
	if *secure {
		nc = tls.Client(nc, clientConfig)
	}
	offer := ""
	if compressed {
		offer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; " +
			"client_no_context_takeover\r\n"
	}
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%s\r\n", offer)
	r := bufio.NewReaderSize(nc, 512)
	if _, err := http.ReadResponse(r, nil); err != nil {
		nc.Close()
		return nil, nil, err
	}
	nc.SetDeadline(time.Time{})
	return nc, r, nil
}

func frame(h wsproto.Header, data []byte) []byte {
	h.Masked, h.Length = true, max(h.Length, uint64(len(data)))
	return append(wsproto.AppendHeader(nil, h), data...)
}

func packed(size int, fin bool) []byte {
	b := deflate.New(deflate.Compression{Level: 9}).Append(nil, make([]byte, size), nil, 15)
	return frame(wsproto.Header{Fin: fin, RSV: wsproto.RSV1, Opcode: wsproto.Binary}, b)
}

// stop begins a message of 1 MiB and stops 60 KiB into it, or 900 KiB for one peer of 8: all of
// them would hold 1.6 GB, and more with the room that is made ahead.
func stop(a addresses) (net.Conn, error) {
	n := 60 << 10
	if stopped.Add(1)%8 == 0 {
		n = 900 << 10
	}
	nc, _, err := open(a.Echo, false)
	if err != nil {
		return nil, err
	}
	h := wsproto.Header{Fin: true, Opcode: wsproto.Binary, Length: 1 << 20}
	nc.SetWriteDeadline(time.Now().Add(20 * time.Second))
	_, err = nc.Write(frame(h, make([]byte, n)))
	return nc, err
}

var stopped atomic.Int64

// stream begins a compressed message.
func stream(a addresses) (net.Conn, error) {
	nc, _, err := open(a.Stream, true)
	if err != nil {
		return nil, err
	}
	_, err = nc.Write(packed(100, false))
	return nc, err
}

// listen joins the room and reads nothing.
func listen(a addresses) (net.Conn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second, Control: smallWindow}
	nc, _, err := openBy(d, a.Room, false)
	return nc, err
}

// smallWindow lets the kernel keep little of what is sent to a socket that is not read from. Once
// it is connected, that would be too late: a window that was offered stays.
func smallWindow(_, _ string, c syscall.RawConn) (err error) {
	err2 := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
	})
	return errors.Join(err, err2)
}

// datagrams asks for empty datagrams and never takes one.
func datagrams(a addresses, until time.Time) {
	nc, err := net.Dial("udp", a.Packets)
	if err != nil {
		return
	}
	defer nc.Close()
	for time.Now().Before(until) {
		for range 10 { // of which each asks for 100: more than the server can send
			nc.Write([]byte{1})
		}
		time.Sleep(time.Millisecond)
	}
}

// repeat sends b again and again, on a new connection when one is closed.
func repeat(address string, compressed bool, b []byte, until time.Time) {
	for time.Now().Before(until) {
		nc, r, err := open(address, compressed)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go io.Copy(io.Discard, r)
		nc.SetDeadline(until)
		for many := []byte(strings.Repeat(string(b), max(1, 64<<10/len(b)))); ; {
			if _, err := nc.Write(many); err != nil {
				break
			}
		}
		nc.Close()
	}
}

// emptyBlocks returns a compressed message without content, of about size bytes: blocks with codes
// of their own (RFC 1951 section 3.2.7), of 12 bytes, which take a decompressor 2 us each.
func emptyBlocks(size int) []byte {
	var b []byte
	n := 0
	put := func(v, bits int) {
		for i := range bits {
			if n%8 == 0 {
				b = append(b, 0)
			}
			b[n/8] |= byte(v >> i & 1 << (n % 8))
			n++
		}
	}
	for len(b) < size-100 {
		put(0b100, 3) // not the last block, dynamic codes
		put(0, 5+5)   // 257 codes for literals and lengths, one for distances
		put(14, 4)    // 18 codes for the lengths of codes, in the order of the RFC
		for i := range 18 {
			put(map[int]int{2: 1, 17: 1}[i], 3) // of 18 (0 follows so many times) and of 1
		}
		for _, zeros := range []int{138, 118} {
			put(1, 1)
			put(zeros-11, 7)
		}
		put(0, 1+1) // the codes of the end of a block and of a distance are 1 bit long
		put(0, 1)   // the end of the block
	}
	put(0, 3) // a block that is stored, to which the end of the message belongs
	return frame(wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: wsproto.Binary}, b)
}
