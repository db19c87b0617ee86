package tlslayer

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// A script is what a peer sends. The tests and the fuzzer write it, play seals it, and both levels
// get the same bytes.
type script struct {
	tw   *twins
	out  []byte
	last []byte // the last record, for replay and reorder
	all  [][]byte
}

// op is one step of a script. a and b are its arguments.
type op struct{ code, a, b byte }

const (
	opData        = iota // a*67 bytes, b padding
	opFull               // a full record
	opEmpty              // a record without content
	opAlert              // level a, description b
	opCCS                // change_cipher_spec, in TLS 1.3 not sealed; a: its byte
	opUpdate             // KeyUpdate; a: its byte
	opMessage            // handshake message of type a with b bytes
	opSplit              // a KeyUpdate in two records
	opTicket             // NewSessionTicket
	opFlip               // flips bit b of the last record, at a 256th of its length
	opTruncate           // drops the last a bytes
	opReplay             // the last record again
	opSwap               // the last record before the one before it
	opOversized          // a header with a length that is too large
	opTooLong            // a sealed record with more than maxPlain bytes
	opGarbage            // a bytes
	opVersion            // a record with another version in the header
	opOuter              // a sealed record of outer type a
	opZeros              // a sealed record of zeros only
	opCloseNotify        // the end
	opPartial            // the beginning of a handshake message
	opWarning            // useless: a user_canceled or a warning
	opTwo                // two KeyUpdates in one record
	opOld                // the record with number a again, modulo how many there are
	opDrop               // a record that is lost
	opCount
)

func (s *script) play(o op) {
	p := s.tw.peer
	before := len(s.out)
	tls13 := suites[p.suite].tls13
	switch o.code % opCount {
	case opData:
		s.out = p.craft(s.out, typeData, pattern(int(o.a)*67), int(o.b))
	case opFull:
		s.out = p.craft(s.out, typeData, pattern(maxPlain), 0)
	case opEmpty:
		s.out = p.craft(s.out, []byte{typeData, typeHandshake, typeAlert, typeCCS}[o.a%4], nil, int(o.b))
	case opAlert:
		s.out = p.craft(s.out, typeAlert, []byte{o.a % 4, o.b}[:1+min(o.a%8, 1)], 0)
	case opCCS:
		if tls13 {
			s.out = append(s.out, typeCCS, 3, 3, 0, 1, o.a%3)
		} else {
			s.out = p.craft(s.out, typeCCS, []byte{o.a % 3}, 0)
		}
	case opUpdate:
		if tls13 {
			s.out = p.updateKey(s.out, o.a%3)
		}
	case opMessage:
		s.out = p.craft(s.out, typeHandshake, append([]byte{o.a, 0, 0, o.b}, pattern(int(o.b))...), 0)
	case opSplit:
		s.out = p.craft(s.out, typeHandshake, []byte{messageKeyUpdate, 0}, 0)
		if o.a&1 == 1 {
			s.out = p.craft(s.out, typeData, pattern(3), 0)
		}
		s.out = p.craft(s.out, typeHandshake, []byte{0, 1, o.b % 2}, 0)
		if tls13 {
			p.loop.update(&suites[p.suite], &p.write)
		}
	case opTicket:
		s.out = p.craft(s.out, typeHandshake, []byte{
			messageNewSessionTicket, 0, 0, 15, 0, 0, o.a, 0, 0, 0, 0, 0, 0, 0, 2, 7, 7, 0, o.b % 2}, 0)
	case opFlip:
		if len(s.last) > 0 && len(s.last) <= len(s.out) {
			i := len(s.out) - 1 - int(o.a)*(len(s.last)-1)/255
			s.out[i] ^= 1 << (o.b % 8)
		}
		return
	case opTruncate:
		s.out = s.out[:max(0, len(s.out)-int(o.a))]
		return
	case opReplay:
		s.out = append(s.out, s.last...)
		return
	case opSwap:
		next := p.craft(nil, typeData, pattern(int(o.a)), 0)
		if bytes.HasSuffix(s.out, s.last) {
			s.out = append(s.out[:len(s.out)-len(s.last)], next...)
			s.out = append(s.out, s.last...)
		}
		return
	case opOversized:
		s.out = append(s.out, typeData, 3, 3, 0x41+o.a%16, 1+o.b)
	case opTooLong:
		s.out = p.craft(s.out, typeData, pattern(maxPlain+1+int(o.a)), int(o.b%2))
	case opGarbage:
		s.out = append(s.out, pattern(int(o.a))...)
	case opVersion:
		s.out = p.craft(s.out, typeData, pattern(5), 0)
		s.out[before+1+int(o.a%2)] ^= 1 + o.b%3
	case opOuter:
		if tls13 {
			s.out = p.craftInner(s.out, o.a, append(pattern(9), typeData))
		}
	case opZeros:
		if tls13 {
			s.out = p.craftInner(s.out, typeData, make([]byte, o.a))
		}
	case opCloseNotify:
		s.out = p.craft(s.out, typeAlert, []byte{1 + o.a%2, alertCloseNotify}, 0)
	case opPartial:
		s.out = p.craft(s.out, typeHandshake, []byte{o.a, 0, 1, 0, 5}, 0)
	case opOld:
		if len(s.all) > 0 {
			s.out = append(s.out, s.all[int(o.a)%len(s.all)]...)
		}
		return
	case opDrop:
		p.craft(nil, typeData, pattern(int(o.a)), 0)
		return
	case opTwo:
		s.out = p.craft(s.out, typeHandshake, bytes.Repeat(keyUpdate, 2), 0)
	case opWarning:
		s.out = p.craft(s.out, typeAlert, []byte{levelWarning, alertUserCanceled}, 0)
	}
	s.last = bytes.Clone(s.out[before:])
	s.all = append(s.all, s.last)
}

// same compares errors. crypto/tls parses messages that may not come at all before it refuses them,
// and then the alert may be decode_error. That is the only difference there may be.
func same(err1, err2 error) bool {
	text1, text2 := fmt.Sprint(err1), fmt.Sprint(err2)
	const unexpected = "received unexpected handshake message"
	return text1 == text2 ||
		strings.Contains(text2, unexpected) &&
			(strings.Contains(text1, unexpected) || strings.Contains(text1, "error decoding message") ||
				strings.Contains(text1, "tls: unexpected message"))
}

// sameAlert compares what the peer has read. err is the error of level 2.
func sameAlert(err1, err2, err error) bool {
	text1, text2 := fmt.Sprint(err1), fmt.Sprint(err2)
	return text1 == text2 || strings.Contains(fmt.Sprint(err), "unexpected handshake message") &&
		text1 == "remote error: tls: error decoding message" && text2 == "remote error: tls: unexpected message"
}

// refusesByHeader reports whether r refuses in stream a handshake message of which it has seen the
// header and not the end. crypto/tls waits for the rest of it, and says what comes of that.
func (r *records) refusesByHeader(stream []byte) bool {
	s := &suites[r.suite]
	var message []byte
	for n := recordIn(stream); n > 0; n = recordIn(stream) {
		typ, b, alert := r.clone().content(s, bytes.Clone(stream[:n]))
		if alert == 0 && typ == typeHandshake {
			message = append(message, b...)
		}
		for len(message) >= 4 {
			size := 4 + int(message[1])<<16 + int(message[2])<<8 + int(message[3])
			if size > len(message) {
				break
			}
			message = message[size:]
		}
		if _, _, _, err := r.Open(bytes.Clone(stream[:n]), 0); err != nil {
			return alert == 0 && typ == typeHandshake && len(message) >= 4
		}
		stream = stream[n:]
	}
	return false
}

// compare feeds both levels the same bytes, cut in pieces, and fails if they do not do the same.
func (tw *twins) compare(t testing.TB, stream []byte, cut func(left int) int, leave bool) (got []byte, err error) {
	t.Helper()
	sooner := tw.level2.clone().refusesByHeader(stream)
	r1 := receiver{stream: tw.level1, leave: leave, answers: true}
	r2 := receiver{stream: tw.level2, leave: leave, answers: true}
	for rest := stream; len(rest) > 0; {
		n := max(1, min(cut(len(rest)), len(rest)))
		r1.feed(rest[:n])
		r2.feed(rest[:n])
		rest = rest[n:]
	}
	r1.close()
	r2.close()
	if !sooner && !same(r1.err, r2.err) {
		t.Fatalf("errors differ:\nlevel 1: %v\nlevel 2: %v", r1.err, r2.err)
	}
	if !bytes.Equal(r1.got, r2.got) {
		t.Fatalf("%d bytes at level 1, %d at level 2, or others; error %v", len(r1.got), len(r2.got), r2.err)
	}
	_, end1 := tw.peer.answers(tw.level1, r1.said)
	_, end2 := tw.peer.answers(tw.level2, r2.said)
	if !sooner && !sameAlert(end1, end2, r2.err) {
		t.Fatalf("alerts differ after %v:\nlevel 1: %v\nlevel 2: %v", r2.err, end1, end2)
	}
	return r2.got, r2.err
}

// TestRecordsLikeStandard has the scripts that must end in a certain way.
func TestRecordsLikeStandard(t *testing.T) {
	repeat := func(n int, o op) (ops []op) {
		for range n {
			ops = append(ops, o)
		}
		return ops
	}
	for _, c := range []struct {
		name   string
		ops    []op
		want   string // in TLS 1.3
		want12 string // "": as in TLS 1.3
		only   uint16 // the version, 0: both
	}{
		{name: "data", ops: []op{{opData, 1, 0}, {opData, 200, 255}, {opFull, 0, 0}, {opData, 1, 3}}, want: "<nil>"},
		{name: "close_notify", ops: []op{{opData, 3, 0}, {opCloseNotify, 0, 0}}, want: "EOF"},
		{name: "garbage after close_notify", ops: []op{{opCloseNotify, 0, 0}, {opGarbage, 200, 0}, {opData, 1, 0}},
			want: "EOF"},
		{name: "truncated", ops: []op{{opData, 3, 0}, {opTruncate, 1, 0}}, want: "unexpected EOF"},
		{name: "truncated header", ops: []op{{opGarbage, 3, 0}}, want: "unexpected EOF"},
		{name: "flipped", ops: []op{{opData, 1, 0}, {opData, 3, 0}, {opFlip, 3, 0}},
			want: "local error: tls: bad record MAC"},
		{name: "replayed", ops: []op{{opData, 3, 0}, {opReplay, 0, 0}}, want: "local error: tls: bad record MAC"},
		{name: "reordered", ops: []op{{opData, 3, 0}, {opSwap, 9, 0}}, want: "local error: tls: bad record MAC"},
		{name: "replayed later", ops: []op{{opData, 3, 0}, {opData, 4, 0}, {opOld, 0, 0}},
			want: "local error: tls: bad record MAC"},
		{name: "lost", ops: []op{{opData, 3, 0}, {opDrop, 4, 0}, {opData, 5, 0}},
			want: "local error: tls: bad record MAC"},
		// What is behind a bad record would open: it has the same number.
		{name: "flipped, then as it was", ops: []op{{opData, 1, 0}, {opData, 3, 0}, {opFlip, 3, 0}, {opReplay, 0, 0}},
			want: "local error: tls: bad record MAC"},
		{name: "behind a fatal alert", ops: []op{{opAlert, 2, 40}, {opData, 3, 0}},
			want: "remote error: tls: handshake failure"},
		{name: "oversized", ops: []op{{opOversized, 15, 0}},
			want: "tls: oversized record received with length 20481"},
		{name: "too much content", ops: []op{{opTooLong, 1, 0}}, want: "local error: tls: record overflow"},
		{name: "empty", ops: append(repeat(16, op{opEmpty, 0, 9}), op{opData, 1, 0}), want: "<nil>"},
		{name: "too many empty", ops: repeat(17, op{opEmpty, 0, 0}), want: "tls: too many ignored records"},
		{name: "too many warnings", ops: repeat(17, op{opWarning, 0, 0}), want: "tls: too many ignored records"},
		{name: "empty handshake", ops: []op{{opEmpty, 1, 0}}, want: "local error: tls: unexpected message"},
		{name: "empty alert", ops: []op{{opEmpty, 2, 0}}, want: "local error: tls: unexpected message"},
		{name: "fatal alert", ops: []op{{opAlert, 2, 40}}, want: "remote error: tls: handshake failure"},
		{name: "short alert", ops: []op{{opAlert, 0, 40}}, want: "local error: tls: unexpected message"},
		{name: "other version", ops: []op{{opVersion, 1, 0}},
			want: "tls: received record with version 302 when expecting version 303"},
		{name: "change_cipher_spec", ops: []op{{opCCS, 1, 0}, {opData, 1, 0}},
			want: "<nil>", want12: "local error: tls: unexpected message"},
		{name: "bad change_cipher_spec", ops: []op{{opCCS, 2, 0}}, want: "local error: tls: error decoding message"},
		{name: "renegotiation", ops: []op{{opMessage, messageHelloRequest, 0}},
			want: "unexpected", want12: "local error: tls: no renegotiation"},
		{name: "only padding", only: 13, ops: []op{{opZeros, 9, 0}}, want: "local error: tls: unexpected message"},
		{name: "other outer type", only: 13, ops: []op{{opOuter, typeAlert, 0}},
			want: "local error: tls: unexpected message"},
		{name: "updates", only: 13, want: "<nil>",
			ops: []op{{opUpdate, 0, 0}, {opData, 1, 0}, {opUpdate, 1, 0}, {opSplit, 0, 1}, {opData, 9, 9}}},
		{name: "update with another message", only: 13, ops: []op{{opTwo, 0, 0}},
			want: "tls: handshake buffer not empty before setting read traffic secret"},
		{name: "bad update", only: 13, ops: []op{{opUpdate, 2, 0}}, want: "local error: tls: error decoding message"},
		{name: "too many updates", only: 13, ops: repeat(17, op{opUpdate, 0, 0}),
			want: "tls: too many non-advancing records"},
		{name: "interleaved", only: 13, ops: []op{{opSplit, 1, 0}}, want: "local error: tls: unexpected message"},
		{name: "ticket of a client", only: 13, ops: []op{{opTicket, 1, 0}},
			want: "tls: received new session ticket from a client"},
		{name: "bad ticket", only: 13, ops: []op{{opTicket, 1, 1}}, want: "local error: tls: error decoding message"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, suite := range testSuites {
				if c.only == 13 && suite.id != 0 {
					continue
				}
				tw := newTwins(t, suiteConfig(suite.id), true)
				s := script{tw: &tw}
				for _, o := range c.ops {
					s.play(o)
				}
				_, err := tw.compare(t, s.out, func(left int) int { return left }, false)
				want := c.want
				if suite.id != 0 && c.want12 != "" {
					want = c.want12
				}
				if !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("%s: error %q, want %q", suite.name, err, want)
				}
			}
		})
	}
}

// TestRecordsSplitAnywhere sends records in two pieces, split at every byte, and in single bytes.
func TestRecordsSplitAnywhere(t *testing.T) {
	for _, suite := range testSuites {
		t.Run(suite.name, func(t *testing.T) {
			tw := newTwins(t, suiteConfig(suite.id), true)
			s := script{tw: &tw}
			ops := []op{{opData, 1, 0}, {opData, 0, 0}, {opData, 2, 5}}
			if suite.id == 0 {
				ops = append(ops, op{opSplit, 0, 0}, op{opUpdate, 0, 0})
			}
			ops = append(ops, op{opData, 1, 1}, op{opCloseNotify, 0, 0})
			for _, o := range ops {
				s.play(o)
			}
			start := tw.level2.clone()
			got, _ := tw.compare(t, s.out, func(int) int { return 1 }, false)
			for i := range s.out {
				for _, leave := range []bool{false, true} {
					r := receiver{stream: start.clone(), leave: leave}
					r.feed(s.out[:i])
					r.feed(s.out[i:])
					r.close()
					if r.err != io.EOF || !bytes.Equal(r.got, got) {
						t.Fatalf("split at %d: error %v, %d bytes of %d", i, r.err, len(r.got), len(got))
					}
				}
			}
		})
	}
}

// TestBadRecordShowsNothing flips each bit of a record. No byte of it may reach the Protocol, not
// even in the rest of the buffer.
func TestBadRecordShowsNothing(t *testing.T) {
	for _, suite := range testSuites {
		tw := newTwins(t, suiteConfig(suite.id), true)
		secret := []byte("attack at dawn, by the north gate")
		rec := tw.peer.craft(nil, typeData, secret, 0)
		for i := range 8 * len(rec) {
			bad := bytes.Clone(rec)
			bad[i/8] ^= 1 << (i % 8)
			r := receiver{stream: tw.level2.clone()}
			buf := bytes.Clone(bad)
			from, to, _, err := r.stream.Open(buf, 0)
			if from != to || err == nil && recordIn(bad) > 0 || bytes.Contains(buf, secret[:8]) {
				t.Fatalf("%s: bit %d: %d bytes, error %v", suite.name, i, to-from, err)
			}
		}
	}
}

func FuzzRecordsLikeStandard(f *testing.F) {
	f.Add(uint8(0), true, uint8(7), []byte{opData, 9, 9, opUpdate, 1, 0, opData, 3, 3, opCloseNotify, 0, 0})
	f.Add(uint8(1), true, uint8(0), []byte{opData, 9, 9, opReplay, 0, 0})
	f.Add(uint8(2), false, uint8(1), []byte{opMessage, 0, 0})
	f.Add(uint8(0), false, uint8(200), []byte{opTicket, 9, 0, opSplit, 0, 1, opFlip, 9, 9})
	f.Add(uint8(3), true, uint8(5), []byte{opWarning, 0, 0, opEmpty, 0, 0, opPartial, 24, 0, opData, 1, 1})
	f.Add(uint8(0), true, uint8(0), []byte{opData, 9, 9, opUpdate, 0, 0, opOld, 0, 0})
	f.Add(uint8(1), false, uint8(3), []byte{opDrop, 9, 9, opData, 1, 0, opCloseNotify, 0, 0, opGarbage, 9, 9})
	f.Fuzz(func(t *testing.T, suite uint8, server bool, cut uint8, program []byte) {
		tw := newTwins(t, suiteConfig(testSuites[int(suite)%len(testSuites)].id), server)
		s := script{tw: &tw}
		for ; len(program) >= 3 && len(s.out) < 256<<10; program = program[3:] {
			s.play(op{program[0], program[1], program[2]})
		}
		tw.compare(t, s.out, func(left int) int {
			if cut == 0 {
				return left
			}
			return int(cut) * int(cut)
		}, cut%2 == 1)
	})
}
