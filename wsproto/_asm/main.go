// Command asm generates wsproto's assembly for amd64. It is a module of its own, so that no user of
// Myriad ever needs avo.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/reg"
)

//go:generate go run . -out ../vector_amd64.s -stubs ../vector_stub_amd64.go -pkg wsproto

func main() {
	mask("maskAVX2", avx2, false)
	mask("maskTextAVX2", avx2, true)
	mask("maskAVX512", avx512, false)
	utf8AVX2()
	memory := newMemoryAVX512()
	utf8AVX512("utf8AVX512", false, memory)
	utf8AVX512("unmaskAVX512", true, memory)
	cpuid()
	xgetbv()
	Generate()
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
