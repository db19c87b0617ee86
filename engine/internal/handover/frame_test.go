package handover

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"
)

// closes is a Transport of which only CloseDescriptor is called.
type closes struct {
	Transport
	closed map[int]bool
	twice  bool
}

func (c *closes) CloseDescriptor(fd int) {
	c.twice = c.twice || c.closed[fd]
	c.closed[fd] = true
}

// decode feeds b in chunks of the given sizes, again and again. The descriptors come with the first
// byte of their frame: starts has the frames' beginnings, and how many descriptors each has.
func decode(b []byte, sizes []byte, starts map[int]int) (frames []frame, fds int, d decoder, err error) {
	at := 0
	for i := 0; at < len(b); i++ {
		n := len(b) - at
		if len(sizes) > 0 {
			n = min(n, 1+int(sizes[i%len(sizes)]))
		}
		for j := at; j < at+n; j++ {
			for range starts[j] {
				fds++
				d.fds = append(d.fds, fds)
			}
		}
		for p := b[at : at+n]; len(p) > 0; {
			var f frame
			var ok bool
			if f, p, ok, err = d.next(p); err != nil {
				return frames, fds, d, err
			}
			if ok {
				frames = append(frames, f)
			}
		}
		if err = d.settled(); err != nil {
			return frames, fds, d, err
		}
		at += n
	}
	return frames, fds, d, nil
}

// beginnings finds where the frames in b begin, and how many descriptors each wants.
func beginnings(b []byte) map[int]int {
	starts := map[int]int{}
	for at := 0; at+headerSize <= len(b); {
		_, fds, size, err := parseHeader(b[at:])
		if err != nil {
			break
		}
		starts[at] = fds
		at += headerSize + size
	}
	return starts
}

// FuzzDecoder feeds any bytes, whole and in chunks: both give the same frames and the same error,
// and no descriptor is lost or closed twice.
func FuzzDecoder(f *testing.F) {
	batch := &Batch{id: 1, Stream: 2, Items: []Item{{State: []byte("abc")}, {}, {State: []byte("d")}}, size: 4}
	listener := Listener{Network: "tcp", Address: "[::1]:80", Meta: []byte{1}}
	whole := append(appendHello(nil, 3), appendListener(nil, listener, 2, true)...)
	whole = append(appendBatch(whole, batch), "abcd"...)
	whole = appendAck(whole, 7, Set{5})
	whole = appendHeader(whole, done, 0, 0)
	f.Add(whole, []byte{0}, []byte{})
	f.Add(whole, []byte{0, 6, 200}, []byte{3})
	f.Add(whole[:len(whole)-3], []byte{9}, []byte{0, 1, 1})
	f.Fuzz(func(t *testing.T, b, sizes, stray []byte) {
		starts := beginnings(b)
		want, _, _, wantErr := decode(b, nil, starts)
		got, _, _, gotErr := decode(b, sizes, starts)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("in chunks: [%d] frames, want [%d]", len(got), len(want))
		}
		if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("in chunks: [%v], want [%v]", gotErr, wantErr)
		}
		for _, at := range stray { // descriptors at the wrong place
			starts[int(at)]++
		}
		frames, fds, d, _ := decode(b, sizes, starts)
		c := &closes{closed: map[int]bool{}}
		for _, f := range frames {
			closeAll(c, f.fds)
			parseAll(t, f)
		}
		d.drop(c)
		if len(c.closed) != fds || c.twice {
			t.Errorf("[%d] of [%d] descriptors are closed, twice: %v", len(c.closed), fds, c.twice)
		}
	})
}

// parseAll parses a frame's payload, and builds it anew.
func parseAll(t *testing.T, f frame) {
	var again []byte
	switch f.kind {
	case hello:
		if v, err := parseHello(f.payload); err == nil && len(f.payload) == helloSize {
			again = appendHello(nil, v)
			again[headerSize+len(magic)+2] = f.payload[len(magic)+2] // unused
			again[headerSize+len(magic)+3] = f.payload[len(magic)+3]
		}
	case listener:
		if l, more, err := parseListener(f); err == nil {
			again = appendListener(nil, l, len(f.fds), more)
		}
	case batch:
		b, err := parseBatch(f)
		if err != nil {
			return
		}
		out := &Batch{id: b.id, Stream: b.Stream, Items: b.Items}
		for _, it := range b.Items {
			out.size += len(it.State)
		}
		again = appendBatch(nil, out)
		for _, it := range b.Items {
			again = append(again, it.State...)
		}
	case ack:
		id, taken := parseAck(f.payload)
		again = appendAck(nil, id, taken)
	}
	if again != nil && !bytes.Equal(again[headerSize:], f.payload) {
		t.Errorf("a frame of kind %d changes when it is built anew: [%x], was [%x]", f.kind, again, f.payload)
	}
}

// TestMalformedFrames are refused at their header, before anything is allocated for them.
func TestMalformedFrames(t *testing.T) {
	for _, c := range []struct {
		name      string
		kind      kind
		fds, size int
	}{
		{"unknown kind 0", 0, 0, 0},
		{"unknown kind", bye + 1, 0, 0},
		{"short hello", hello, 0, helloSize - 1},
		{"batch without descriptors", batch, 0, 100},
		{"batch with 254 descriptors", batch, MaxDescriptors + 1, 5000},
		{"batch too large", batch, 1, batchHead + 4*MaxDescriptors + MaxState + 1},
		{"ready with descriptors", ready, 1, 0},
		{"ready with bytes", ready, 0, 1},
		{"long reason", refused, 0, maxReason + 1},
		{"long acknowledgement", ack, 0, ackSize + 1},
		{"2 GiB of secrets", listed, 0, 1<<31 - 1},
	} {
		var d decoder
		if _, _, ok, err := d.next(appendHeader(nil, c.kind, c.fds, c.size)); err == nil || ok {
			t.Errorf("%s: accepted", c.name)
		}
	}
}
