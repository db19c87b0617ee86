package tlslayer

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"testing"
)

// The tests in this file change a stream of records at every place, and check what the Protocol
// gets, the error, and the alert that the peer reads. What is done at level 2 at every place is
// done at level 1 at some, since a tls.Conn cannot be copied.

// stream returns records with data, and of TLS 1.3 key updates, and where each ends in it.
func stream(tw *twins, tls13 bool) (b []byte, ends, data []int) {
	s := script{tw: tw}
	ops := []op{{opData, 1, 0}, {opData, 0, 0}, {opData, 2, 5}}
	if tls13 {
		ops = append(ops, op{opUpdate, 1, 0})
	}
	n := 0
	for _, o := range append(ops, op{opData, 1, 1}) {
		s.play(o)
		if o.code == opData {
			n += 67 * int(o.a)
		}
		ends, data = append(ends, len(s.out)), append(data, n)
	}
	return s.out, ends, data
}

// TestTruncatedAnywhere ends a stream after each number of bytes. The Protocol gets what whole
// records had. The end is an error in the middle of a record.
func TestTruncatedAnywhere(t *testing.T) {
	for _, suite := range testSuites {
		t.Run(suite.name, func(t *testing.T) {
			tw := newTwins(t, suiteConfig(suite.id), true)
			start := tw.level2.clone()
			b, ends, data := stream(&tw, suite.id == 0)
			for i := range len(b) + 1 {
				var wantErr error = io.ErrUnexpectedEOF
				want := 0
				if i == 0 {
					wantErr = nil
				}
				for j, end := range ends {
					if end <= i {
						want = data[j]
					}
					if end == i {
						wantErr = nil
					}
				}
				r := receiver{stream: start.clone()}
				r.feed(b[:i])
				r.close()
				if r.err != wantErr || len(r.got) != want {
					t.Fatalf("%d bytes of %d: error %v, want %v; data of %d bytes, want %d", i, len(b), r.err, wantErr,
						len(r.got), want)
				}
				if i%41 == 0 {
					other := newTwins(t, suiteConfig(suite.id), true)
					b, _, _ := stream(&other, suite.id == 0)
					other.compare(t, b[:i], func(left int) int { return left }, false)
				}
			}
		})
	}
}

// TestFlippedAnywhere flips each bit of a record between others. The one before it is fed, nothing
// of it nor behind it is, and the alert is the right one.
func TestFlippedAnywhere(t *testing.T) {
	for _, suite := range testSuites {
		t.Run(suite.name, func(t *testing.T) {
			tw := newTwins(t, suiteConfig(suite.id), true)
			before, bad, behind := tw.peer.craft(nil, typeData, pattern(67), 0),
				tw.peer.craft(nil, typeData, pattern(40), 0), tw.peer.craft(nil, typeData, pattern(900), 0)
			for bit := range 8 * len(bad) {
				b := bytes.Join([][]byte{before, bad, behind}, nil)
				flipped := b[len(before):]
				flipped[bit/8] ^= 1 << (bit % 8)
				n := int(binary.BigEndian.Uint16(flipped[3:]))
				limit := maxRecord12
				if suite.id == 0 {
					limit = maxRecord13
				}
				want, wantErr := "remote error: tls: bad record MAC", "local error: tls: bad record MAC"
				switch {
				case bit/8 == 1 || bit/8 == 2:
					want = "remote error: tls: protocol version not supported"
					wantErr = fmt.Sprintf("tls: received record with version %x when expecting version 303",
						binary.BigEndian.Uint16(flipped[1:]))
				case n > limit:
					want = "remote error: tls: record overflow"
					wantErr = fmt.Sprintf("tls: oversized record received with length %d", n)
				case headerLen+n > len(flipped): // more is expected, and does not come
					want, wantErr = "<nil>", "unexpected EOF"
				}
				r := receiver{stream: tw.level2.clone()}
				r.feed(b)
				r.close()
				if err := fmt.Sprint(r.err); err != wantErr || !bytes.Equal(r.got, pattern(67)) {
					t.Fatalf("bit %d: error %q, want %q; data of %d bytes", bit, err, wantErr, len(r.got))
				}
				if data, alert := tw.peer.answers(r.stream, r.said); fmt.Sprint(alert) != want || len(data) > 0 {
					t.Fatalf("bit %d: the peer reads %q, want %q", bit, alert, want)
				}
				if bit%37 == 0 { // the same place in another connection, whose keys are others
					other := newTwins(t, suiteConfig(suite.id), true)
					b := other.peer.craft(nil, typeData, pattern(67), 0)
					place := len(b) + bit/8
					b = other.peer.craft(b, typeData, pattern(40), 0)
					b[place] ^= 1 << (bit % 8)
					b = other.peer.craft(b, typeData, pattern(900), 0)
					other.compare(t, b, func(left int) int { return left }, false)
				}
			}
		})
	}
}

// TestReplayedAndReordered puts each record of a stream to each other place: in front of those that
// were sent before it, and once more behind them.
func TestReplayedAndReordered(t *testing.T) {
	for _, suite := range testSuites {
		t.Run(suite.name, func(t *testing.T) {
			tw := newTwins(t, suiteConfig(suite.id), true)
			start := tw.level2.clone()
			var all [][]byte
			for i := range 5 {
				all = append(all, tw.peer.craft(nil, typeData, pattern(10+i), 0))
			}
			check := func(what string, i, j, good int, b [][]byte) {
				t.Helper()
				want := 0
				for k := range good {
					want += 10 + k
				}
				r := receiver{stream: start.clone()}
				r.feed(bytes.Join(b, nil))
				_, alert := tw.peer.answers(r.stream, r.said)
				if len(r.got) != want || fmt.Sprint(r.err) != "local error: tls: bad record MAC" ||
					fmt.Sprint(alert) != "remote error: tls: bad record MAC" {
					t.Errorf("record %d %s %d: data of %d bytes, want %d; error %v, the peer reads %v", i, what, j,
						len(r.got), want, r.err, alert)
				}
			}
			for i := range all {
				for j := range all {
					if i <= j {
						b := append(append(append([][]byte{}, all[:j+1]...), all[i]), all[j+1:]...)
						check("again behind", i, j, j+1, b)
						continue
					}
					b := append(append([][]byte{}, all[:j]...), all[i])
					check("in front of", i, j, j, append(b, all[j:]...))
				}
			}
		})
	}
}

// TestRecordSizes sends records at the limits of their lengths. Those over them are refused by the
// header alone, or when they were opened.
func TestRecordSizes(t *testing.T) {
	for _, suite := range testSuites {
		limit := maxRecord12
		if suite.id == 0 {
			limit = maxRecord13
		}
		for _, c := range []struct {
			name    string
			content int // -1: a header alone, with length
			length  int
			want    string
		}{
			{name: "full", content: maxPlain, want: "<nil>"},
			{name: "one byte too many", content: maxPlain + 1, want: "local error: tls: record overflow"},
			{name: "header at the limit", content: -1, length: limit, want: "unexpected EOF"},
			{name: "header over it", content: -1, length: limit + 1,
				want: fmt.Sprintf("tls: oversized record received with length %d", limit+1)},
			{name: "no body", content: -1, want: "local error: tls: bad record MAC"},
			{name: "body shorter than a tag", content: -1, length: tagLen - 1, want: "unexpected EOF"},
		} {
			t.Run(suite.name+" "+c.name, func(t *testing.T) {
				tw := newTwins(t, suiteConfig(suite.id), true)
				var b []byte
				if c.content >= 0 {
					b = tw.peer.craft(nil, typeData, pattern(c.content), 0)
				} else {
					b = binary.BigEndian.AppendUint16([]byte{typeData, 3, 3}, uint16(c.length))
				}
				got, err := tw.compare(t, b, func(left int) int { return left }, false)
				if fmt.Sprint(err) != c.want {
					t.Errorf("error %q, want %q", err, c.want)
				}
				if n := max(0, c.content); err == nil && len(got) != n || err != nil && len(got) > 0 {
					t.Errorf("data of %d bytes", len(got))
				}
			})
		}
	}
}

// TestBehindTheEnd sends data, garbage and nothing after close_notify, after a bad record and after
// a fatal alert, in the same piece and in another one. Nothing of it is looked at.
func TestBehindTheEnd(t *testing.T) {
	for _, suite := range testSuites {
		for _, end := range []struct {
			name       string
			ops        []op
			err, alert string
		}{
			{"close_notify", []op{{opCloseNotify, 0, 0}}, "EOF", "EOF"},
			{"fatal alert", []op{{opAlert, levelError, 40}}, "remote error: tls: handshake failure", "<nil>"},
			{"bad record", []op{{opData, 2, 0}, {opFlip, 0, 0}}, "local error: tls: bad record MAC",
				"remote error: tls: bad record MAC"},
		} {
			for _, more := range []op{{opData, 5, 0}, {opGarbage, 255, 0}, {opOversized, 15, 0}, {opCloseNotify, 0, 0},
				{opAlert, levelError, 40}, {opUpdate, 1, 0}} {
				for _, together := range []bool{false, true} {
					tw := newTwins(t, suiteConfig(suite.id), true)
					s := script{tw: &tw}
					s.play(op{opData, 1, 0})
					for _, o := range end.ops {
						s.play(o)
					}
					first := len(s.out)
					s.play(more)
					r := receiver{stream: tw.level2.clone()}
					if together {
						r.feed(bytes.Clone(s.out))
					} else {
						r.feed(bytes.Clone(s.out[:first]))
						r.feed(bytes.Clone(s.out[first:]))
					}
					r.feed(pattern(100))
					_, alert := tw.peer.answers(r.stream, r.said)
					if fmt.Sprint(r.err) != end.err || len(r.got) != 67 || fmt.Sprint(alert) != end.alert {
						t.Errorf("%s, %s, then op %d: %v, data of %d bytes, the peer reads %v", suite.name, end.name,
							more.code, r.err, len(r.got), alert)
					}
					if again := r.stream.SealEnd(r.stream.Seal(nil, pattern(5))); len(again) > 0 {
						t.Errorf("%s, %s: %d bytes are sealed after the end", suite.name, end.name, len(again))
					}
				}
			}
		}
	}
}
