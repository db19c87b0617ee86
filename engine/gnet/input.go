package gnet

import "io"

// input is what OnTraffic can read: the Reader of a Conn. Outside OnTraffic it is empty.
type input struct {
	in []byte
}

// Read copies bytes to p and discards them. Without any it returns io.ErrShortBuffer.
func (i *input) Read(p []byte) (int, error) {
	n := copy(p, i.in)
	i.in = i.in[n:]
	if n == 0 && len(p) > 0 {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

// WriteTo writes all bytes to w and discards those that were written.
func (i *input) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(i.in)
	i.in = i.in[n:]
	return int64(n), err
}

// Peek returns the next n bytes, or all of them if n <= 0. With fewer than n it returns
// io.ErrShortBuffer. The bytes may be modified, and are valid until OnTraffic returns.
func (i *input) Peek(n int) ([]byte, error) {
	switch {
	case n > len(i.in):
		return nil, io.ErrShortBuffer
	case n <= 0:
		n = len(i.in)
	}
	return i.in[:n:n], nil
}

// Next is Peek and Discard.
func (i *input) Next(n int) ([]byte, error) {
	b, err := i.Peek(n)
	i.in = i.in[len(b):]
	return b, err
}

// Discard discards the next n bytes, or all of them if n <= 0 or there are fewer, and returns how
// many those were.
func (i *input) Discard(n int) (int, error) {
	if n <= 0 || n > len(i.in) {
		n = len(i.in)
	}
	i.in = i.in[n:]
	return n, nil
}

// InboundBuffered returns the number of bytes that can be read.
func (i *input) InboundBuffered() int { return len(i.in) }
