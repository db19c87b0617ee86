package autobahn

import (
	"encoding/hex"
	"fmt"
	"strings"
)

const kosme = "κ\u1f79σμε" // the suite's test word, 11 bytes

// Section 6: UTF-8.
func utf8Handling(yield func(Case) bool) {
	s := section{yield: yield}
	valid := func(id, t string, frames ...Frame) {
		if frames == nil {
			frames = []Frame{text(t)}
		}
		s.add(Case{ID: id, Frames: append(frames, bye), Want: []Event{gotText(t), gotBye}})
	}
	invalid := func(id string, frames ...Frame) {
		s.add(Case{ID: id, Frames: append(frames, bye), Want: []Event{notUTF}})
	}

	valid("6.1.1", "")
	valid("6.1.2", "", text("").more(), next("").more(), next(""))
	valid("6.1.3", "middle frame payload", text("").more(), next("middle frame payload").more(), next(""))
	umlauts := "Hello-µ@ßöäüàá-UTF-8!!"
	valid("6.2.1", umlauts)
	valid("6.2.2", umlauts, split(text(umlauts), 12)...)
	valid("6.2.3", umlauts, split(text(umlauts), 1)...)
	valid("6.2.4", kosme, split(text(kosme), 1)...)
	invalid("6.3.1", text(kosme+"\xed\xa0\x80edited"))
	invalid("6.3.2", split(text(kosme+"\xed\xa0\x80edited"), 1)...)
	// 6.4: fails at the first byte that cannot be mended. The tests of this list want that of every
	// case.
	invalid("6.4.1", text(kosme).more(), next("\xf4\x90\x80\x80").more(), next("edited"))
	invalid("6.4.2", text(kosme+"\xf4").more(), next("\x90").more(), next("\x80\x80edited"))
	invalid("6.4.3", text(kosme+"\xf4\x90\x80\x80edited"))
	s.add(Case{ID: "6.4.4", Chop: 1, Frames: []Frame{text(kosme + "\xf4\x90\x80\x80edited")}, Want: []Event{notUTF}})

	for i, t := range []string{"hello$world", "hello¢world", "hello€world", "hello\U00024B62world", kosme} {
		valid(fmt.Sprintf("6.5.%d", i+1), t)
	}
	for n := 1; n <= len(kosme); n++ { // every beginning of it
		id, t := fmt.Sprintf("6.6.%d", n), kosme[:n]
		if strings.ToValidUTF8(t, "") == t {
			valid(id, t)
		} else {
			invalid(id, text(t))
		}
	}
	for _, g := range groups {
		for i, h := range strings.Fields(g.hex) {
			b, err := hex.DecodeString(h)
			if err != nil {
				panic(err)
			}
			if id := fmt.Sprintf("%s.%d", g.id, i+1); g.bad == nil || !g.bad(i) {
				valid(id, string(b))
			} else {
				invalid(id, text(string(b)))
			}
		}
	}
}

func all(int) bool { return true }

// groups are Markus Kuhn's stress test for UTF-8 decoders, as the suite has it.
var groups = []struct {
	id, hex string
	bad     func(i int) bool
}{
	{id: "6.7", hex: "00 c280 e0a080 f0908080"},                     // first of each length
	{id: "6.8", hex: "f888808080 fc8480808080", bad: all},           // lengths that do not exist
	{id: "6.9", hex: "7f dfbf efbfbf f48fbfbf"},                     // last of each length
	{id: "6.10", hex: "f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf", bad: all}, //
	{id: "6.11", hex: "ed9fbf ee8080 efbfbd f48fbfbf f4908080", bad: func(i int) bool { return i == 4 }},
	{id: "6.12", hex: "80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf " + run(0x80, 0xBE, ""), bad: all},
	{id: "6.13", hex: run(0xC0, 0xDF, "20") + " " + run(0xE0, 0xEF, "20") + " " + run(0xF0, 0xF7, "20") + " " +
		run(0xF8, 0xFB, "20") + " " + run(0xFC, 0xFD, "20"), bad: all}, // lonely beginnings
	// cut off
	{id: "6.14", hex: "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf", bad: all},
	{id: "6.15", hex: "c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf", bad: all},
	{id: "6.16", hex: "fe ff fefeffff", bad: all},
	// "/", too long
	{id: "6.17", hex: "c0af e080af f08080af f8808080af fc80808080af", bad: all},
	// the longest too long
	{id: "6.18", hex: "c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf", bad: all},
	// NUL, too long
	{id: "6.19", hex: "c080 e08080 f0808080 f880808080 fc8080808080", bad: all},
	{id: "6.20", hex: "eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf", bad: all}, // surrogates
	{id: "6.21", hex: "eda080edb080 eda080edbfbf edadbfedb080 edadbfedbfbf " +
		"edae80edb080 edae80edbfbf edafbfedb080 edafbfedbfbf", bad: all}, // and pairs of them
	{id: "6.22", hex: nonCharacters()},
	{id: "6.23", hex: "efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf"},
}

// run is the bytes from first to last, each with tail behind it.
func run(first, last int, tail string) string {
	var s strings.Builder
	for b := first; b <= last; b++ {
		fmt.Fprintf(&s, "%02x%s", b, tail)
	}
	return s.String()
}

// nonCharacters are the last two code points of each plane. They are valid.
func nonCharacters() string {
	var s strings.Builder
	for plane := range 17 {
		for low := range 2 {
			fmt.Fprintf(&s, "%x ", string(rune(plane<<16|0xFFFE+low)))
		}
	}
	return s.String()
}
