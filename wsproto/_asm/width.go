package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

// width is a vector's, in bytes: 32 for AVX2, 64 for AVX-512. Its methods are the instructions
// whose names differ.
type width int

const (
	avx2   width = 32
	avx512 width = 64
)

func (w width) vector() VecVirtual {
	if w == avx2 {
		return YMM()
	}
	return ZMM()
}

func (w width) move(from, to Op) {
	if w == avx2 {
		VMOVDQU(from, to)
	} else {
		VMOVDQU64(from, to)
	}
}

func (w width) xor(a, b, to Op) {
	if w == avx2 {
		VPXOR(a, b, to)
	} else {
		VPXORD(a, b, to)
	}
}

// splat fills a vector with a register of four bytes.
func (w width) splat(from Op, to VecVirtual) {
	VMOVD(from, to.AsX())
	VPBROADCASTD(to.AsX(), to)
}

// fill is a vector that is full of b.
func (w width) fill(b uint32) VecVirtual {
	r, v := GP32(), w.vector()
	MOVL(U32(b*0x01010101), r)
	w.splat(r, v)
	return v
}

// at is the memory disp bytes on from base.
func at(base Register, disp int) Mem { return Mem{Base: base, Disp: disp} }

// constant is read-only memory that holds b.
func constant(name string, b []byte) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	DATA(0, String(b))
	return m
}

// result returns whether the zero flag is set.
func result() {
	r := GP8()
	SETEQ(r)
	Store(r, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
