package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/myriadnet/myriad/wsproto/asm/tables"
)

// utf8AVX512 checks 64 bytes at a time, always at a multiple of 64: of the first and of the last, only those that belong to b are
// read and written, so that any length will do and no page is touched but b's own. The bytes before a vector come out of the
// one before, in a register. What is ASCII is done with at once. Errors are gathered in one vector.
//
//	|  .. first |<-- rounds of 4, then 1 -->| last ..  |
//
// Masked bytes are unmasked on the way. Since nothing is read again, there is no wait for what was just written.
func utf8AVX512(name string, masked bool) {
	c := &checkAVX512{masked: masked, whole: constant(name+"Whole", tables.Whole(64))}
	memory := [3]Mem{
		constant(name+"High", tables.Spread(tables.High(), 2)),
		constant(name+"Low", tables.Spread(tables.Low(), 0)),
		constant(name+"Then", tables.Spread(tables.Then(), 2)),
	}
	if masked {
		TEXT(name, NOSPLIT, "func(b *byte, n int, key uint32) bool")
		Doc(name + " xors the n bytes at b with key repeated, and says then what utf8AVX512 says.")
	} else {
		TEXT(name, NOSPLIT, "func(b *byte, n int) bool")
		Doc(name + " says of the n bytes at b what utf8AVX2 says.")
	}
	c.load(memory)
	c.part(c.begin())
	ADDQ(U8(64), c.p)
	c.rounds(4, "round1")
	c.rounds(1, "last")

	Label("last")
	SUBQ(c.p, c.end)
	JLE(LabelRef("end"))
	bits := GP64()
	MOVQ(I32(-1), bits)
	BZHIQ(c.end, bits, bits)
	c.part(bits)

	Label("end")
	wrong := K()
	VPTESTMB(c.err, c.err, wrong)
	KORTESTQ(wrong, wrong)
	result()
}

// checkAVX512 is what the check holds in registers.
type checkAVX512 struct {
	masked                         bool
	p, end                         Register   // what is to be checked yet
	key                            VecVirtual // at a multiple of four
	high, low, then, third, fourth VecVirtual // see package tables
	top                            VecVirtual // the upper bit
	before                         VecVirtual // the vector before
	err                            VecVirtual // what was found wrong up to now
	whole                          Mem
}

// rounds takes and checks n vectors at a time while there are so many.
func (c *checkAVX512) rounds(n int, then string) {
	label, next, some, high := fmt.Sprint("round", n), GP64(), ZMM(), K()
	Label(label)
	LEAQ(at(c.p, 64*n), next)
	CMPQ(next, c.end)
	JHI(LabelRef(then))
	rows := make([]VecVirtual, n)
	for i := range rows {
		rows[i] = ZMM()
		c.take(64*i, rows[i])
	}
	VMOVDQA64(rows[0], some)
	for _, v := range rows[1:] {
		VPORD(v, some, some)
	}
	VPMOVB2M(some, high)
	KORTESTQ(high, high)
	JZ(LabelRef(label + "ASCII"))
	for _, v := range rows {
		c.vector(v)
	}
	MOVQ(next, c.p)
	JMP(LabelRef(label))

	Label(label + "ASCII") // what stands before it must be whole; then zeros are left, which are as good as any ASCII
	VPSUBUSB(c.whole, c.before, c.before)
	VPORD(c.before, c.err, c.err)
	MOVQ(next, c.p)
	JMP(LabelRef(label))
}

// load loads the arguments and the constants.
func (c *checkAVX512) load(memory [3]Mem) {
	c.p, c.end = Load(Param("b"), GP64()), Load(Param("n"), GP64())
	ADDQ(c.p, c.end)
	for i, v := range []*VecVirtual{&c.high, &c.low, &c.then} {
		*v = ZMM()
		VMOVDQU64(memory[i], *v)
	}
	c.third, c.fourth, c.top = avx512.fill(tables.Third-0x80), avx512.fill(tables.Fourth-0x80), avx512.fill(0x80)
	c.before, c.err = ZMM(), ZMM()
	VPXORD(c.before, c.before, c.before)
	VPXORD(c.err, c.err, c.err)
}

// begin rounds p down to a multiple of 64, and returns which of the 64 bytes there belong to b.
func (c *checkAVX512) begin() (bits Register) {
	bits, n, most := GP64(), GP64(), GP64()
	MOVQ(c.p, RCX)
	ANDQ(I8(-64), c.p)
	MOVQ(I32(-1), bits)
	SHLXQ(RCX, bits, bits)
	MOVQ(c.end, n)
	SUBQ(c.p, n)
	MOVQ(U32(64), most)
	CMPQ(n, most)
	CMOVQHI(most, n)
	BZHIQ(n, bits, bits)
	if c.masked {
		key := Load(Param("key"), GP32())
		NEGL(ECX)
		SHLL(U8(3), ECX)
		RORL(CL, key)
		c.key = ZMM()
		avx512.splat(key, c.key)
	}
	return bits
}

// take reads, and unmasks, the vector at p, disp bytes on.
func (c *checkAVX512) take(disp int, v VecVirtual) {
	if !c.masked {
		VMOVDQU64(at(c.p, disp), v)
		return
	}
	VPXORD(at(c.p, disp), c.key, v)
	VMOVDQU64(v, at(c.p, disp))
}

// part takes and checks those bytes of the vector at p that bits stand for.
func (c *checkAVX512) part(bits Op) {
	v, k := ZMM(), K()
	KMOVQ(bits, k)
	VMOVDQU8_Z(at(c.p, 0), k, v)
	if c.masked {
		VPXORD(c.key, v, v)
		VMOVDQU8(v, k, at(c.p, 0))
		VMOVDQU8_Z(v, k, v)
	}
	found, must := c.classify(v)
	VPXORD(found, must, must)
	VMOVDQU8_Z(must, k, must) // what is cut off at the end is no error
	VPORD(must, c.err, c.err)
	VMOVDQA64(v, c.before)
}

// vector checks v.
func (c *checkAVX512) vector(v VecVirtual) {
	found, must := c.classify(v)
	VPTERNLOGD(U8(0xF6), found, must, c.err) // a | b^c
	VMOVDQA64(v, c.before)
}

// classify returns what the tables find of v's bytes and those before them, and what they must find: Two where a character that is
// long enough begins two or three bytes before, nothing elsewhere. The tables are for six bits: those above need not be cleared.
func (c *checkAVX512) classify(v VecVirtual) (found, must VecVirtual) {
	words := ZMM() // the four bytes before each four
	VALIGND(U8(15), c.before, v, words)
	shifted := func(bits int) VecVirtual { // by that many bits, over the bytes before
		to := ZMM()
		VPSHLDD(U8(bits), words, v, to)
		return to
	}
	high, low, then := shifted(8-2), shifted(8), ZMM()
	VPERMB(c.high, high, high)
	VPERMB(c.low, low, low)
	VPSRLW(U8(2), v, then)
	VPERMB(c.then, then, then)
	VPTERNLOGD(U8(0x80), high, low, then) // a & b & c
	two, three := shifted(16), shifted(24)
	VPSUBUSB(c.third, two, two)
	VPSUBUSB(c.fourth, three, three)
	VPTERNLOGD(U8(0xA8), c.top, two, three) // (a|b) & c
	return then, three
}

// VPSHLDD shifts four bytes of high to the left, by imm bits that come out of low. It is not among avo's instructions.
func VPSHLDD(imm, low, high, to Op) {
	Instruction(&ir.Instruction{
		Opcode:   "VPSHLDD",
		Operands: []Op{imm, low, high, to},
		Inputs:   []Op{low, high},
		Outputs:  []Op{to},
		ISA:      []string{"AVX512VBMI2"},
	})
}
