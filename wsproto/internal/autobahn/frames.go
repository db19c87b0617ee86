package autobahn

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/myriadnet/myriad/wsproto"
)

// Section 1: framing.
func framing(yield func(Case) bool) {
	s := section{yield: yield}
	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
		c := Case{ID: fmt.Sprintf("1.1.%d", i+1)}
		if i == 7 {
			c.Chop = 997
		}
		star, fe := strings.Repeat("*", n), bytes.Repeat([]byte{0xFE}, n)
		c.Frames, c.Want = []Frame{text(star), bye}, []Event{gotText(star), gotBye}
		s.add(c)
		c.ID = fmt.Sprintf("1.2.%d", i+1)
		c.Frames, c.Want = []Frame{binary(fe), bye}, []Event{gotBinary(fe), gotBye}
		s.add(c)
	}
}

// Section 2: pings and pongs.
func pings(yield func(Case) bool) {
	s := section{yield: yield}
	long := strings.Repeat("\xFE", 125)
	odd := "\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF"
	s.add(Case{ID: "2.1", Frames: []Frame{ping(""), bye}, Want: []Event{gotPing(""), gotBye}})
	s.add(Case{ID: "2.2", Frames: []Frame{ping("Hello, world!"), bye}, Want: []Event{gotPing("Hello, world!"), gotBye}})
	s.add(Case{ID: "2.3", Frames: []Frame{ping(odd), bye}, Want: []Event{gotPing(odd), gotBye}})
	s.add(Case{ID: "2.4", Frames: []Frame{ping(long), bye}, Want: []Event{gotPing(long), gotBye}})
	s.add(Case{ID: "2.5", Frames: []Frame{ping(long + "\xFE"), bye}, Want: []Event{broken}})
	s.add(Case{ID: "2.6", Chop: 1, Frames: []Frame{ping(long), bye}, Want: []Event{gotPing(long), gotBye}})
	s.add(Case{ID: "2.7", Frames: []Frame{pong(""), bye}, Want: []Event{gotPong(""), gotBye}})
	s.add(Case{ID: "2.8", Frames: []Frame{pong("unsolicited"), bye}, Want: []Event{gotPong("unsolicited"), gotBye}})
	s.add(Case{ID: "2.9", Frames: []Frame{pong("unsolicited"), ping("payload"), bye},
		Want: []Event{gotPong("unsolicited"), gotPing("payload"), gotBye}})
	ten := Case{ID: "2.10"}
	for i := range 10 {
		p := fmt.Sprintf("payload-%d", i)
		ten.Frames, ten.Want = append(ten.Frames, ping(p)), append(ten.Want, gotPing(p))
	}
	ten.Frames, ten.Want = append(ten.Frames, bye), append(ten.Want, gotBye)
	s.add(ten)
	ten.ID, ten.Chop = "2.11", 1
	s.add(ten)
}

// Section 3: reserved bits.
func reserved(yield func(Case) bool) {
	s := section{yield: yield}
	hello, got := text("Hello, world!"), gotText("Hello, world!")
	s.add(Case{ID: "3.1", Frames: []Frame{hello.rsv(1)}, Want: []Event{broken}})
	for i, chop := range []int{0, 0, 1} {
		s.add(Case{ID: fmt.Sprintf("3.%d", i+2), Chop: chop,
			Frames: []Frame{hello, hello.rsv(byte(i + 2)), ping("")}, Want: []Event{got, broken}})
	}
	s.add(Case{ID: "3.5", Frames: []Frame{binary([]byte("\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF")).rsv(5)},
		Want: []Event{broken}})
	s.add(Case{ID: "3.6", Frames: []Frame{ping("Hello, world!").rsv(6)}, Want: []Event{broken}})
	s.add(Case{ID: "3.7", Frames: []Frame{bye.rsv(7)}, Want: []Event{broken}})
}

// Section 4: reserved opcodes.
func opcodes(yield func(Case) bool) {
	s := section{yield: yield}
	for i, first := range []wsproto.Opcode{3, 11} {
		for k := range 5 {
			f := Frame{Opcode: first + wsproto.Opcode(k)}
			c := Case{ID: fmt.Sprintf("4.%d.%d", i+1, k+1), Frames: []Frame{f}, Want: []Event{broken}}
			if k == 1 || k == 3 {
				c.Frames[0].Payload = []byte("reserved")
			}
			if k >= 2 {
				c.Frames = append(append([]Frame{text("Hello, world!")}, c.Frames...), ping(""))
				c.Want = []Event{gotText("Hello, world!"), broken}
			}
			if k >= 3 {
				c.Chop = 1
			}
			s.add(c)
		}
	}
}

// Section 5: fragmentation.
func fragments(yield func(Case) bool) {
	s := section{yield: yield}
	s.add(Case{ID: "5.1", Frames: []Frame{ping("fragment1").more(), next("fragment2")}, Want: []Event{broken}})
	s.add(Case{ID: "5.2", Frames: []Frame{pong("fragment1").more(), next("fragment2")}, Want: []Event{broken}})
	one, two, both := text("fragment1").more(), next("fragment2"), gotText("fragment1fragment2")
	for i, chop := range []int{0, 0, 1} {
		s.add(Case{ID: fmt.Sprintf("5.%d", i+3), Chop: chop, Frames: []Frame{one, two, bye},
			Want: []Event{both, gotBye}})
	}
	for i, chop := range []int{0, 0, 1} {
		s.add(Case{ID: fmt.Sprintf("5.%d", i+6), Chop: chop,
			Frames: []Frame{one, ping("ping"), two, bye}, Want: []Event{gotPing("ping"), both, gotBye}})
	}
	orphan := next("non-continuation payload")
	for i, chop := range []int{0, 0, 1} {
		s.add(Case{ID: fmt.Sprintf("5.%d", i+9), Chop: chop,
			Frames: []Frame{orphan, text("Hello, world!")}, Want: []Event{broken}})
	}
	for i, chop := range []int{0, 0, 1} {
		s.add(Case{ID: fmt.Sprintf("5.%d", i+12), Chop: chop,
			Frames: []Frame{orphan.more(), text("Hello, world!")}, Want: []Event{broken}})
	}
	s.add(Case{ID: "5.15", Frames: []Frame{one, two, next("fragment3").more(), text("fragment4")},
		Want: []Event{both, broken}})
	twice := []Frame{one, two, next("fragment1").more(), one, two}
	s.add(Case{ID: "5.16", Frames: append([]Frame{next("fragment1").more()}, twice...), Want: []Event{broken}})
	s.add(Case{ID: "5.17", Frames: append([]Frame{next("fragment1")}, twice...), Want: []Event{broken}})
	s.add(Case{ID: "5.18", Frames: []Frame{one, text("fragment2")}, Want: []Event{broken}})
	part := func(i int) Frame { return next(fmt.Sprintf("fragment%d", i)) }
	five := Case{ID: "5.19", Frames: []Frame{one, part(2).more(), ping("pongme 1!"), part(3).more(), part(4).more(),
		ping("pongme 2!"), part(5), bye},
		Want: []Event{gotPing("pongme 1!"), gotPing("pongme 2!"),
			gotText("fragment1fragment2fragment3fragment4fragment5"), gotBye}}
	s.add(five)
	five.ID, five.Chop = "5.20", 1
	s.add(five)
}

// Section 7: closing.
func closing(yield func(Case) bool) {
	s := section{yield: yield}
	hello, got := text("Hello World!"), gotText("Hello World!")
	s.add(Case{ID: "7.1.1", Frames: []Frame{hello, bye}, Want: []Event{got, gotBye}})
	s.add(Case{ID: "7.1.2", Frames: []Frame{bye, bye}, Want: []Event{gotBye}})
	s.add(Case{ID: "7.1.3", Frames: []Frame{bye, ping("")}, Want: []Event{gotBye}})
	s.add(Case{ID: "7.1.4", Frames: []Frame{bye, hello}, Want: []Event{gotBye}})
	s.add(Case{ID: "7.1.5", Frames: []Frame{text("fragment1").more(), bye, next("fragment2")}, Want: []Event{gotBye}})
	long := strings.Repeat("BAsd7&jh23", 26<<10)[:256<<10]
	s.add(Case{ID: "7.1.6", Frames: []Frame{text(long), hello, bye, ping("")},
		Want: []Event{gotText(long), got, gotBye}})

	s.add(Case{ID: "7.3.1", Frames: []Frame{closeFrame("")}, Want: []Event{gotClose(wsproto.NoStatus, "")}})
	s.add(Case{ID: "7.3.2", Frames: []Frame{closeFrame("a")}, Want: []Event{broken}})
	s.add(Case{ID: "7.3.3", Frames: []Frame{bye}, Want: []Event{gotBye}})
	s.add(Case{ID: "7.3.4", Frames: []Frame{closeFrame(code(1000, "Hello World!"))},
		Want: []Event{gotClose(1000, "Hello World!")}})
	reason := strings.Repeat("*", 123)
	s.add(Case{ID: "7.3.5", Frames: []Frame{closeFrame(code(1000, reason))}, Want: []Event{gotClose(1000, reason)}})
	s.add(Case{ID: "7.3.6", Frames: []Frame{closeFrame(code(1000, reason+"*"))}, Want: []Event{broken}})
	s.add(Case{ID: "7.5.1", Frames: []Frame{closeFrame(code(1000,
		"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64"))}, Want: []Event{notUTF}})

	for i, n := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		s.add(Case{ID: fmt.Sprintf("7.7.%d", i+1), Frames: []Frame{closeFrame(code(n, ""))},
			Want: []Event{gotClose(wsproto.CloseCode(n), "")}})
	}
	for i, n := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999} {
		s.add(Case{ID: fmt.Sprintf("7.9.%d", i+1), Frames: []Frame{closeFrame(code(n, ""))}, Want: []Event{broken}})
	}
	// the suite has no opinion; section 7.4.2 of the RFC has
	for i, n := range []uint16{5000, 65535} {
		s.add(Case{ID: fmt.Sprintf("7.13.%d", i+1), Frames: []Frame{closeFrame(code(n, ""))}, Want: []Event{broken}})
	}
}

// Section 9: sizes and numbers.
func limits(yield func(Case) bool) {
	s := section{yield: yield}
	const k, m = 1 << 10, 1 << 20
	kinds := []func(n, part int) ([]Frame, Event){
		func(n, part int) ([]Frame, Event) {
			t := strings.Repeat("*", n)
			return split(text(t), part), gotText(t)
		},
		func(n, part int) ([]Frame, Event) {
			b := bytes.Repeat([]byte{0xFE}, n)
			return split(binary(b), part), gotBinary(b)
		},
	}
	add := func(id string, n, part, chop, times int, kind func(n, part int) ([]Frame, Event)) {
		if s.done {
			return
		}
		c := Case{ID: id, Chop: chop}
		frames, want := kind(n, part)
		for range times {
			c.Frames, c.Want = append(c.Frames, frames...), append(c.Want, want)
		}
		c.Frames, c.Want = append(c.Frames, bye), append(c.Want, gotBye)
		s.add(c)
	}
	for i, kind := range kinds {
		for j, n := range []int{64 * k, 256 * k, m, 4 * m, 8 * m, 16 * m} {
			add(fmt.Sprintf("9.%d.%d", i+1, j+1), n, n, 0, 1, kind)
		}
		for j, part := range []int{64, 256, k, 4 * k, 16 * k, 64 * k, 256 * k, m, 4 * m} {
			add(fmt.Sprintf("9.%d.%d", i+3, j+1), 4*m, part, 0, 1, kind)
		}
		for j, chop := range []int{64, 128, 256, 512, 1024, 2048} {
			add(fmt.Sprintf("9.%d.%d", i+5, j+1), m, m, chop, 1, kind)
		}
		for j, n := range []int{0, 16, 64, 256, 1024, 4096} {
			add(fmt.Sprintf("9.%d.%d", i+7, j+1), n, n, 0, 1000, kind)
		}
	}
}

// Section 10: a message that is fragmented by the sender's library.
func autoFragment(yield func(Case) bool) {
	t := strings.Repeat("*", 65536)
	yield(Case{ID: "10.1.1", Frames: append(split(text(t), 1300), bye), Want: []Event{gotText(t), gotBye}})
}

// split makes fragments of at most n bytes.
func split(f Frame, n int) (out []Frame) {
	for p := f.Payload; len(p) > n; p = f.Payload {
		out = append(out, Frame{Opcode: f.Opcode, More: true, Payload: p[:n]})
		f = Frame{Payload: p[n:]}
	}
	return append(out, f)
}
