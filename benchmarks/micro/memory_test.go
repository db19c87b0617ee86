package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// stream is a net.Conn in memory: a peer that sends an opening handshake, then the same frame again and again. A Read gives bytes of
// one of them only, as where a peer waits for each answer. What is written is copied, as by a kernel, and gone, or kept if that is
// asked for.
type stream struct {
	opening []byte
	frame   []byte
	left    int // of the frames
	at      int // in the first of them
	keep    bool
	kept    []byte
}

func (s *stream) Read(p []byte) (n int, err error) {
	if len(s.opening) > 0 {
		n = copy(p, s.opening)
		s.opening = s.opening[n:]
		return n, nil
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	n = copy(p, s.frame[s.at:])
	if s.at += n; s.at == len(s.frame) {
		s.at = 0
		s.left--
	}
	return n, nil
}

var sink [128 << 10]byte

func (s *stream) Write(p []byte) (int, error) {
	copy(sink[:], p)
	if s.keep {
		s.kept = append(s.kept, p...)
	}
	return len(p), nil
}

var loopback net.Addr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}

func (s *stream) Close() error                     { return nil }
func (s *stream) LocalAddr() net.Addr              { return loopback }
func (s *stream) RemoteAddr() net.Addr             { return loopback }
func (s *stream) SetDeadline(time.Time) error      { return nil }
func (s *stream) SetReadDeadline(time.Time) error  { return nil }
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

// response is the http.ResponseWriter of a connection that is taken over at once, with buffers of net/http's size.
type response struct {
	header http.Header
	nc     net.Conn
	rw     *bufio.ReadWriter
}

func (r *response) Header() http.Header         { return r.header }
func (r *response) Write(b []byte) (int, error) { return r.rw.Write(b) }

func (r *response) WriteHeader(status int) {
	fmt.Fprintf(r.rw, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	r.header.Write(r.rw)
	r.rw.WriteString("\r\n")
}

func (r *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return r.nc, r.rw, r.rw.Flush()
}

// readRequest is as much of net/http as a library on top of it cannot do without.
func readRequest(nc net.Conn) (*response, *http.Request, error) {
	rw := bufio.NewReadWriter(bufio.NewReaderSize(nc, 4096), bufio.NewWriterSize(nc, 4096))
	r, err := http.ReadRequest(rw.Reader)
	return &response{make(http.Header), nc, rw}, r, err
}
