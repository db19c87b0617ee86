// Command asm generates wsproto's assembly. It is a module of its own, so that no user of Myriad ever needs avo.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

//go:generate go run . -out ../mask_amd64.s -stubs ../mask_stub_amd64.go -pkg wsproto

func main() {
	maskAVX2()
	cpuid()
	xgetbv()
	Generate()
}

// maskAVX2 xors 256 bytes in a round, with eight independent registers, then 128, then 32 at a time. The last 32 bytes are
// read first and written last: they overlap what the rounds write, with the same result, and no tail is left for byte by
// byte work. The first 32 bytes of a long slice are treated likewise, so that the rounds begin at a multiple of 32: a vector
// that crosses cache lines costs twice.
//
//	|<-- first 32 -->|
//	|  head  |<-- rounds of 256, 128, 32 -->|  rest  |
//	                              |<---- last 32 --->|
func maskAVX2() {
	TEXT("maskAVX2", NOSPLIT, "func(b *byte, n int, key uint32)")
	Doc("maskAVX2 xors the n bytes at b, at least 32, with key repeated.")
	b := Load(Param("b"), GP64())
	n := GP64()
	Load(Param("n"), n)
	k := GP32()
	Load(Param("key"), k)
	low, key := XMM(), YMM()
	VMOVD(k, low)
	VPBROADCASTD(low, key)

	end, tail, last := GP64(), YMM(), YMM()
	LEAQ(Mem{Base: b, Index: n, Scale: 1, Disp: -32}, end)
	tailKey := GP32()
	MOVL(k, tailKey)
	MOVL(n.As32(), ECX) // the key at n-32 is rotated by n%4 bytes
	SHLL(U8(3), ECX)
	RORL(CL, tailKey)
	VMOVD(tailKey, low)
	VPBROADCASTD(low, tail)
	VPXOR(Mem{Base: end}, tail, last)

	start, first := GP64(), YMM() // without a head, the last 32 bytes stand in for the first
	MOVQ(end, start)
	VMOVDQA(last, first)
	CMPQ(n, U32(1024))
	JLT(LabelRef("round256"))
	MOVQ(b, start)
	VPXOR(Mem{Base: b}, key, first)
	MOVQ(b, RCX)
	NEGQ(RCX)
	ANDQ(U8(31), RCX)
	ADDQ(RCX, b)
	SUBQ(RCX, n)
	SHLL(U8(3), ECX)
	RORL(CL, k)
	VMOVD(k, low)
	VPBROADCASTD(low, key)

	rows := make([]VecVirtual, 8)
	for i := range rows {
		rows[i] = YMM()
	}
	round := func(size int) {
		for i, r := range rows[:size/32] {
			VPXOR(Mem{Base: b, Disp: 32 * i}, key, r)
		}
		for i, r := range rows[:size/32] {
			VMOVDQU(r, Mem{Base: b, Disp: 32 * i})
		}
		ADDQ(U32(uint32(size)), b)
		SUBQ(U32(uint32(size)), n)
	}
	Label("round256")
	CMPQ(n, U32(256))
	JLT(LabelRef("round128"))
	round(256)
	JMP(LabelRef("round256"))

	Label("round128")
	CMPQ(n, U32(128))
	JLT(LabelRef("round32"))
	round(128)

	Label("round32")
	CMPQ(n, U32(32))
	JLT(LabelRef("end"))
	round(32)
	JMP(LabelRef("round32"))

	Label("end")
	VMOVDQU(first, Mem{Base: start})
	VMOVDQU(last, Mem{Base: end})
	VZEROUPPER()
	RET()
}

func cpuid() {
	TEXT("cpuid", NOSPLIT, "func(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)")
	Doc("cpuid asks the processor what it can do.")
	Load(Param("leaf"), EAX)
	Load(Param("subleaf"), ECX)
	CPUID()
	Store(EAX, ReturnIndex(0))
	Store(EBX, ReturnIndex(1))
	Store(ECX, ReturnIndex(2))
	Store(EDX, ReturnIndex(3))
	RET()
}

func xgetbv() {
	TEXT("xgetbv", NOSPLIT, "func() (eax uint32)")
	Doc("xgetbv reads which registers the operating system saves (the low half of XCR0).")
	XORL(ECX, ECX)
	XGETBV()
	Store(EAX, ReturnIndex(0))
	RET()
}
