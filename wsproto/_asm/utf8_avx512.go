package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"

	"github.com/myriadnet/myriad/wsproto/asm/tables"
)

// utf8AVX512 checks 64 bytes at a time, always at a multiple of 64: of the first and of the last,
// only those that belong to b are read and written, so that any length will do and no page is
// touched but b's own. Each byte's class is looked up once; those before a vector are kept in a
// register. What is ASCII is done with at once. Errors are gathered in one vector.
//
//	|  .. first |<-- rounds of 4, then 1 -->| last ..  |
//
// Masked bytes are unmasked on the way. Since nothing is read again, there is no wait for what was
// just written.
func utf8AVX512(name string, masked bool, memory *memoryAVX512) {
	c := &checkAVX512{masked: masked, memory: memory}
	if masked {
		TEXT(name, NOSPLIT, "func(b *byte, n int, key uint32) bool")
		Doc(name + " xors the n bytes at b with key repeated, and reports then what utf8AVX512 does.")
	} else {
		TEXT(name, NOSPLIT, "func(b *byte, n int) bool")
		Doc(name + " reports of the n bytes at b what utf8AVX2 does.")
	}
	c.load()
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

// memoryAVX512 is what package tables makes.
type memoryAVX512 struct{ upper, lower, follows, cutOff Mem }

func newMemoryAVX512() *memoryAVX512 {
	return &memoryAVX512{
		constant("upperAVX512", tables.Upper()),
		constant("lowerAVX512", tables.Lower()),
		constant("followsAVX512", tables.Follows()),
		constant("cutOffAVX512", tables.CutOff(64)),
	}
}

// checkAVX512 is what the check holds in registers.
type checkAVX512 struct {
	masked                bool
	memory                *memoryAVX512
	p, end                Register   // what is to be checked yet
	key                   VecVirtual // at a multiple of four
	upper, lower, follows VecVirtual // of memory
	top                   VecVirtual // the highest bit
	before                VecVirtual // the classes of the vector before
	err                   VecVirtual // what was found wrong up to now
}

// load loads the arguments and the constants.
func (c *checkAVX512) load() {
	c.p, c.end = Load(Param("b"), GP64()), Load(Param("n"), GP64())
	ADDQ(c.p, c.end)
	c.upper, c.lower, c.follows = ZMM(), ZMM(), ZMM()
	VMOVDQU64(c.memory.upper, c.upper)
	VMOVDQU64(c.memory.lower, c.lower)
	VMOVDQU64(c.memory.follows, c.follows)
	c.top, c.before, c.err = avx512.fill(0x80), avx512.fill(tables.Single), ZMM()
	VPXORD(c.err, c.err, c.err)
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
		VPORD(c.wrong(v), c.err, c.err)
	}
	MOVQ(next, c.p)
	JMP(LabelRef(label))

	// After a whole character the same may follow as after ASCII, so before may stay.
	Label(label + "ASCII")
	VPTERNLOGD(U8(0xF8), c.memory.cutOff, c.before, c.err) // a | b&c
	MOVQ(next, c.p)
	JMP(LabelRef(label))
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
	wrong := c.wrong(v)
	VMOVDQU8_Z(wrong, k, wrong) // what is cut off at the end is no error
	VPORD(wrong, c.err, c.err)
}

// wrong returns what is wrong in v: where a byte and the one before are no neighbours, and where
// two that continue a character are too many, or one too few: there must be two where a character
// of three begins two bytes before, or one of four three before.
func (c *checkAVX512) wrong(v VecVirtual) VecVirtual {
	upper, class, lower, follows, words := ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
	VPSRLW(U8(2), v, upper) // only six bits of each byte count
	VPERMB(c.upper, upper, class)
	VPERMB(c.lower, v, lower)
	VPANDD(lower, class, class)
	VPERMB(c.follows, upper, follows)
	VALIGND(U8(15), c.before, class, words) // the four before each four
	shifted := func(bits int) VecVirtual {
		to := ZMM()
		VPSHLDD(U8(bits), words, class, to)
		return to
	}
	// OfThree and OfFour become the highest bit
	one, two, three := shifted(8), shifted(16+1), shifted(24+2)
	VPTERNLOGD(U8(0xA8), c.top, two, three)   // (a|b) & c
	VPTERNLOGD(U8(0x6A), three, one, follows) // a&b ^ c
	VMOVDQA64(class, c.before)
	return follows
}

// VPSHLDD shifts four bytes of high to the left, by imm bits that come out of low. It is not among
// avo's instructions.
func VPSHLDD(imm, low, high, to Op) {
	Instruction(&ir.Instruction{
		Opcode:   "VPSHLDD",
		Operands: []Op{imm, low, high, to},
		Inputs:   []Op{low, high},
		Outputs:  []Op{to},
		ISA:      []string{"AVX512VBMI2"},
	})
}
