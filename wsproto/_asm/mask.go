package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// alignFrom is the length from which rounds begin at a multiple of a vector's width.
const alignFrom = 512

// mask xors 8 vectors in a round, in independent registers, then 4, then one at a time. The last
// vector is read first and written last: it overlaps what the rounds write, with the same result,
// and no tail is left for byte by byte work. The first one of a long slice is treated likewise, so
// that the rounds begin at a multiple of the width: a vector that crosses cache lines costs twice.
//
//	|<-- first -->|
//	| head  |<-- rounds of 8, 4, 1 -->| rest |
//	                           |<-- last --->|
//
// For text (AVX2 only), the highest bits of all that is written are gathered.
func mask(name string, w width, text bool) {
	signature, doc := "func(b *byte, n int, key uint32)", " xors the n bytes at b, at least %d, with key repeated"
	if text {
		signature, doc = signature+" (ascii bool)", doc+", and reports whether all of them are ASCII then"
	}
	TEXT(name, NOSPLIT, signature)
	Doc(fmt.Sprintf(name+doc+".", w))
	b := Load(Param("b"), GP64())
	n := GP64()
	Load(Param("n"), n)
	k := Load(Param("key"), GP32())
	key := w.vector()
	w.splat(k, key)

	end, tail, last := GP64(), w.vector(), w.vector()
	LEAQ(Mem{Base: b, Index: n, Scale: 1, Disp: -int(w)}, end)
	tailKey := GP32()
	MOVL(k, tailKey)
	MOVL(n.As32(), ECX) // the key of the last vector is rotated by n%4 bytes
	SHLL(U8(3), ECX)
	RORL(CL, tailKey)
	w.splat(tailKey, tail)
	w.xor(at(end, 0), tail, last)

	// without a head, the last vector stands in for the first
	start, first, high := GP64(), w.vector(), w.vector()
	MOVQ(end, start)
	w.move(last, first)
	if text {
		VMOVDQA(last, high)
	}
	CMPQ(n, U32(alignFrom))
	JLT(LabelRef("round8"))
	MOVQ(b, start)
	w.xor(at(b, 0), key, first)
	if text {
		VPOR(first, high, high)
	}
	MOVQ(b, RCX)
	NEGQ(RCX)
	ANDQ(U8(w-1), RCX)
	ADDQ(RCX, b)
	SUBQ(RCX, n)
	SHLL(U8(3), ECX)
	RORL(CL, k)
	w.splat(k, key)

	rounds(w, b, n, key, high, text)
	w.move(first, at(start, 0))
	w.move(last, at(end, 0))
	if text {
		bits := GP32()
		VPMOVMSKB(high, bits)
		TESTL(bits, bits)
		result()
		return
	}
	VZEROUPPER()
	RET()
}

// rounds masks the n bytes at b in rounds of 8, 4 and 1 vectors, and goes on at the label end when
// fewer than a vector are left.
func rounds(w width, b, n Register, key, high VecVirtual, text bool) {
	rows := make([]VecVirtual, 8)
	for i := range rows {
		rows[i] = w.vector()
	}
	for i, c := range []int{8, 4, 1} {
		label, next := fmt.Sprint("round", c), []string{"round4", "round1", "end"}[i]
		Label(label)
		CMPQ(n, U32(c*int(w)))
		JLT(LabelRef(next))
		for i, r := range rows[:c] {
			w.xor(at(b, int(w)*i), key, r)
		}
		for i, r := range rows[:c] {
			w.move(r, at(b, int(w)*i))
		}
		if text {
			gather(rows[:c], high)
		}
		ADDQ(U32(c*int(w)), b)
		SUBQ(U32(c*int(w)), n)
		if c != 4 { // there is one such at most
			JMP(LabelRef(label))
		}
	}
	Label("end")
}

// gather ors rows into high; rows are spent. It is a tree, so that no instruction waits for more
// than three others.
func gather(rows []VecVirtual, high Op) {
	for d := 1; d < len(rows); d *= 2 {
		for i := 0; i+d < len(rows); i += 2 * d {
			VPOR(rows[i+d], rows[i], rows[i])
		}
	}
	VPOR(rows[0], high, high)
}
