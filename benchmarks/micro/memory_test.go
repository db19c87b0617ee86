package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// stream is a net.Conn in memory whose peer sends an opening handshake and then the same frame
// again and again. A Read returns bytes of one frame only, as if the peer waited for each answer. A
// Write copies the bytes, as a kernel does, and keeps them if keep is set.
type stream struct {
	opening []byte
	frame   []byte
	left    int // number of frames to send
	at      int // offset in the current frame
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

// response is the http.ResponseWriter of a connection that is hijacked at once, with buffers of
// net/http's size.
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

// readRequest does what a library on top of net/http needs of it.
func readRequest(nc net.Conn) (*response, *http.Request, error) {
	rw := bufio.NewReadWriter(bufio.NewReaderSize(nc, 4096), bufio.NewWriterSize(nc, 4096))
	r, err := http.ReadRequest(rw.Reader)
	return &response{make(http.Header), nc, rw}, r, err
}
