package codec

import "io"

// Reader reads messages from a stream, such as a net.Conn. It is for one goroutine at a time.
type Reader struct {
	r          io.Reader
	codec      Codec
	buf        []byte
	start, end int   // buf[start:end] was read and not yet returned
	scanned    int   // of it, by Decode
	err        error // of the stream, for the time when buf has no message left
}

const (
	firstBuffer   = 4 << 10
	maxEmptyReads = 100
)

// NewReader returns a Reader that reads the messages in r. It reads ahead: do not read from r
// yourself.
func NewReader(r io.Reader, codec Codec) *Reader { return &Reader{r: r, codec: codec} }

// ReadMessage returns the next message, which is valid until the next call. The error is io.EOF at
// the end of the stream, io.ErrUnexpectedEOF if the stream ends within a message, or an error of
// the codec or of the stream.
//
// The buffer grows with the messages. Only the codec's limit bounds it.
func (r *Reader) ReadMessage() ([]byte, error) {
	for {
		if r.start < r.end {
			msg, n, next, err := r.codec.Decode(r.buf[r.start:r.end], r.scanned)
			if err != nil {
				return nil, err
			}
			if n > 0 {
				r.start += n
				r.scanned = 0
				return msg, nil
			}
			r.scanned = next
		}
		if err := r.err; err != nil {
			r.err = nil // a stream may go on, for instance after a deadline
			if err == io.EOF && r.start < r.end {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		r.fill()
	}
}

// fill makes room and reads from the stream: some bytes, an error, or both.
func (r *Reader) fill() {
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
	}
	if r.end == len(r.buf) {
		grown := make([]byte, max(2*len(r.buf), firstBuffer))
		copy(grown, r.buf)
		r.buf = grown
	}
	for range maxEmptyReads {
		n, err := r.r.Read(r.buf[r.end:])
		r.end += n
		r.err = err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

// Writer writes messages to a stream, such as a net.Conn. It is for one goroutine at a time.
type Writer struct {
	w     io.Writer
	codec Codec
	buf   []byte // for frames; as large as the largest one so far
}

// NewWriter returns a Writer that writes messages to w.
func NewWriter(w io.Writer, codec Codec) *Writer { return &Writer{w: w, codec: codec} }

// WriteMessage writes the frame of msg with one call of Write. It fails if the codec has no frame
// for msg, or with the error of Write.
func (w *Writer) WriteMessage(msg []byte) error {
	b, err := w.codec.Append(w.buf[:0], msg)
	if err != nil {
		return err
	}
	w.buf = b
	n, err := w.w.Write(b)
	if n < len(b) && err == nil { // against the rules of io.Writer
		err = io.ErrShortWrite
	}
	return err
}
