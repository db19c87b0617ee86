package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/myriadnet/myriad/wsproto/asm/tables"
)

// utf8AVX2 checks 32 bytes together with those that begin one, two and three bytes before them,
// which are read again from memory: loads are cheaper here than shuffles. Nothing lies before the
// first vector; it is shifted instead. The last one overlaps what is checked already. 128 bytes
// that are ASCII are done with at once. Errors are gathered in one vector.
//
//	|<-- first -->|<-- rounds of 4, then 1 -->| rest |
//	                                   |<-- last --->|
func utf8AVX2() {
	c := &checkAVX2{whole: constant("wholeAVX2", tables.Whole(32))}
	memory := [3]Mem{}
	for i, t := range [][16]byte{tables.High(), tables.Low(), tables.Then()} {
		memory[i] = constant([]string{"highAVX2", "lowAVX2", "thenAVX2"}[i], t[:])
	}
	TEXT("utf8AVX2", NOSPLIT, "func(b *byte, n int) bool")
	Doc("utf8AVX2 reports whether the n bytes at b, at least 35, can begin a valid text. It looks at",
		"neighbouring bytes only: the last character may be incomplete, or the last byte one that never", "occurs.")
	p, end, next := Load(Param("b"), GP64()), Load(Param("n"), GP64()), GP64()
	ADDQ(p, end)
	for i, v := range []*VecVirtual{&c.high, &c.low, &c.then} {
		*v = YMM()
		VBROADCASTI128(memory[i], *v)
	}
	c.third, c.fourth = avx2.fill(tables.Third-0x80), avx2.fill(tables.Fourth-0x80)
	c.top, c.nibble = avx2.fill(0x80), avx2.fill(0x0F)
	c.err = YMM()
	VPXOR(c.err, c.err, c.err)
	c.first(p)
	ADDQ(U8(32), p)

	some, bits := YMM(), GP32()
	Label("round4")
	LEAQ(at(p, 128), next)
	CMPQ(next, end)
	JHI(LabelRef("round1"))
	VMOVDQU(at(p, 0), some)
	for i := 1; i < 4; i++ {
		VPOR(at(p, 32*i), some, some)
	}
	VPMOVMSKB(some, bits)
	TESTL(bits, bits)
	JZ(LabelRef("ascii"))
	for i := range 4 {
		c.vector(p, 32*i)
	}
	MOVQ(next, p)
	JMP(LabelRef("round4"))

	Label("ascii") // what stands before it must be whole
	VMOVDQU(at(p, -32), some)
	VPSUBUSB(c.whole, some, some)
	VPOR(some, c.err, c.err)
	MOVQ(next, p)
	JMP(LabelRef("round4"))

	Label("round1")
	LEAQ(at(p, 32), next)
	CMPQ(next, end)
	JHI(LabelRef("last"))
	c.vector(p, 0)
	MOVQ(next, p)
	JMP(LabelRef("round1"))

	Label("last")
	CMPQ(p, end)
	JEQ(LabelRef("end"))
	c.vector(end, -32)

	Label("end")
	VPTEST(c.err, c.err)
	result()
}

// checkAVX2 is what the check holds in registers.
type checkAVX2 struct {
	high, low, then, third, fourth VecVirtual // see package tables
	top, nibble                    VecVirtual // the upper bit, and the lower four
	err                            VecVirtual // what was found wrong up to now
	whole                          Mem
}

// vector checks the 32 bytes at base, disp bytes on.
func (c *checkAVX2) vector(base Register, disp int) {
	var v [4]VecVirtual
	for back := range v {
		v[back] = YMM()
		VMOVDQU(at(base, disp-back), v[back])
	}
	c.classify(v)
}

// first checks the 32 bytes at base, with zeros before them.
func (c *checkAVX2) first(base Register) {
	v, moved := [4]VecVirtual{YMM()}, YMM() // moved up by 16 bytes
	VMOVDQU(at(base, 0), v[0])
	VPERM2I128(U8(0x08), v[0], v[0], moved)
	for back := 1; back <= 3; back++ {
		v[back] = YMM()
		VPALIGNR(U8(16-back), moved, v[0], v[back])
	}
	c.classify(v)
}

// classify checks v[0], given the vectors that begin one, two and three bytes before it. What the
// tables say of v[1] and v[0] must be two continuations, the highest bit, where a character begins
// in v[2] or v[3] that is long enough, and nothing elsewhere.
func (c *checkAVX2) classify(v [4]VecVirtual) {
	high := YMM()
	VPSRLW(U8(4), v[1], high)
	VPAND(c.nibble, high, high)
	VPSHUFB(high, c.high, high)
	VPAND(c.nibble, v[1], v[1])
	VPSHUFB(v[1], c.low, v[1])
	VPSRLW(U8(4), v[0], v[0])
	VPAND(c.nibble, v[0], v[0])
	VPSHUFB(v[0], c.then, v[0])
	VPAND(high, v[1], v[1])
	VPAND(v[1], v[0], v[0])
	VPSUBUSB(c.third, v[2], v[2])
	VPSUBUSB(c.fourth, v[3], v[3])
	VPOR(v[2], v[3], v[3])
	VPAND(c.top, v[3], v[3])
	VPXOR(v[3], v[0], v[0])
	VPOR(v[0], c.err, c.err)
}
