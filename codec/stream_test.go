package codec_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/myriadnet/myriad/codec"
)

func TestReader(t *testing.T) {
	boom := errors.New("boom")
	for _, pieces := range []struct {
		name string
		of   func(io.Reader) io.Reader
	}{
		{name: "whole", of: func(r io.Reader) io.Reader { return r }},
		{name: "one byte", of: iotest.OneByteReader},
		{name: "half", of: iotest.HalfReader},
		{name: "data with the error", of: iotest.DataErrReader},
	} {
		long := strings.Repeat("long ", 10_000)
		for _, test := range []struct {
			name   string
			stream io.Reader
			want   []string
			err    error
		}{
			{name: "empty", stream: strings.NewReader(""), err: io.EOF},
			{name: "messages", stream: strings.NewReader("a\n\n" + long + "\nb\r\n"),
				want: []string{"a", "", long, "b"}, err: io.EOF},
			{name: "half a message", stream: strings.NewReader("a\nb"), want: []string{"a"}, err: io.ErrUnexpectedEOF},
			{name: "error", stream: io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(boom)),
				want: []string{"a"}, err: boom},
		} {
			r := codec.NewReader(pieces.of(test.stream), codec.Line{})
			for _, want := range test.want {
				if got, err := r.ReadMessage(); err != nil || string(got) != want {
					t.Fatalf("%s, %s: %.20q, %v, want %.20q", pieces.name, test.name, got, err, want)
				}
			}
			if got, err := r.ReadMessage(); err != test.err || got != nil {
				t.Errorf("%s, %s: %q, %v, want %v", pieces.name, test.name, got, err, test.err)
			}
		}
	}
}

// stuck reads nothing.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestReaderGivesUpWithoutProgress(t *testing.T) {
	if _, err := codec.NewReader(stuck{}, codec.Line{}).ReadMessage(); err != io.ErrNoProgress {
		t.Error(err)
	}
}

func TestReaderRefusesWhatTheCodecRefuses(t *testing.T) {
	r := codec.NewReader(strings.NewReader("ok\ntoo long\n"), codec.Line{Max: 3})
	if got, err := r.ReadMessage(); err != nil || string(got) != "ok" {
		t.Fatal(got, err)
	}
	for range 2 {
		var l *codec.LimitError
		if _, err := r.ReadMessage(); !errors.As(err, &l) {
			t.Fatal(err)
		}
	}
}

// deadline fails once in the middle.
type deadline struct {
	pieces []string // "" fails
}

func (d *deadline) Read(b []byte) (int, error) {
	p := d.pieces[0]
	d.pieces = d.pieces[1:]
	if p == "" {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(b, p), nil
}

func TestReaderGoesOnAfterADeadline(t *testing.T) {
	r := codec.NewReader(&deadline{[]string{"hel", "", "lo\n"}}, codec.Line{})
	if _, err := r.ReadMessage(); err != os.ErrDeadlineExceeded {
		t.Fatal(err)
	}
	if got, err := r.ReadMessage(); err != nil || string(got) != "hello" {
		t.Fatal(string(got), err)
	}
}

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w := codec.NewWriter(&b, codec.Line{Max: 5})
	for _, msg := range []string{"hello", "", "ada"} {
		if err := w.WriteMessage([]byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteMessage([]byte("too long")); err == nil {
		t.Error("it writes a message over the limit")
	}
	if got := b.String(); got != "hello\n\nada\n" {
		t.Errorf("%q", got)
	}
	broken := codec.NewWriter(brokenWriter{}, codec.Line{})
	if err := broken.WriteMessage([]byte("x")); err != io.ErrClosedPipe {
		t.Error(err)
	}
}

// TestWriterOfPart: a writer that takes a part, and tells of no error, is against the rules.
func TestWriterOfPart(t *testing.T) {
	w := codec.NewWriter(partWriter{}, codec.Line{})
	if err := w.WriteMessage([]byte("x")); err != io.ErrShortWrite {
		t.Error(err)
	}
}

type partWriter struct{}

func (partWriter) Write([]byte) (int, error) { return 1, nil }

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStreamsDoNotAllocate(t *testing.T) {
	var loop bytes.Buffer
	w, r := codec.NewWriter(&loop, codec.LengthPrefix{}), codec.NewReader(&loop, codec.LengthPrefix{})
	msg := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() {
		w.WriteMessage(msg)
		if got, err := r.ReadMessage(); len(got) != len(msg) || err != nil {
			t.Fatal(len(got), err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per message", n)
	}
}
