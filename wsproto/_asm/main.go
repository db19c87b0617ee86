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

// maskAVX2 xors 256 bytes in a round, with eight independent registers, then 32.
func maskAVX2() {
	TEXT("maskAVX2", NOSPLIT, "func(b *byte, n int, key uint32)")
	Doc("maskAVX2 xors the n bytes at b, a multiple of 32, with key repeated.")
	b := Load(Param("b"), GP64())
	n := Load(Param("n"), GP64())
	low, key := XMM(), YMM()
	VMOVD(Load(Param("key"), GP32()), low)
	VPBROADCASTD(low, key)

	Label("round256")
	CMPQ(n, U32(256))
	JLT(LabelRef("round32"))
	rows := make([]VecVirtual, 8)
	for i := range rows {
		rows[i] = YMM()
		VPXOR(Mem{Base: b, Disp: 32 * i}, key, rows[i])
	}
	for i, r := range rows {
		VMOVDQU(r, Mem{Base: b, Disp: 32 * i})
	}
	ADDQ(U32(256), b)
	SUBQ(U32(256), n)
	JMP(LabelRef("round256"))

	Label("round32")
	CMPQ(n, U8(32))
	JLT(LabelRef("end"))
	row := YMM()
	VPXOR(Mem{Base: b}, key, row)
	VMOVDQU(row, Mem{Base: b})
	ADDQ(U8(32), b)
	SUBQ(U8(32), n)
	JMP(LabelRef("round32"))

	Label("end")
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
