package main

import (
	"slices"

	"github.com/myriadnet/myriad/wsproto/asm/tables"
)

// What registers hold: the tables (see package tables), constants, and what was found wrong up to
// now.
const (
	high, low, then, whole     = 16, 17, 18, 19
	third, fourth, top, nibble = 20, 21, 22, 23
	zero, err                  = 24, 25
)

// utf8 is like the one for AVX2, with vectors of 16 bytes.
func (f *file) utf8() {
	h, l, t := tables.High(), tables.Low(), tables.Then()
	f.constant("tables", slices.Concat(h[:], l[:], t[:], tables.Whole(16)))
	f.function("utf8NEON", "(b *byte, n int) bool", 17,
		"utf8NEON reports whether the n bytes at b, at least 19, can begin a valid text. It looks at\n"+
			"// neighbouring bytes only: the last character may be incomplete, or the last byte one that\n"+
			"// never occurs.")
	f.emit("MOVD $tables<>(SB), R3")
	f.emit("VLD1 (R3), [V%d.B16, V%d.B16, V%d.B16, V%d.B16]", high, low, then, whole)
	for i, b := range []int{tables.Third - 0x80, tables.Fourth - 0x80, 0x80, 0x0F, 0, 0} {
		f.emit("VMOVI $%d, V%d.B16", b, third+i)
	}
	f.emit("MOVD b+0(FP), R0")
	f.emit("MOVD n+8(FP), R1")
	f.emit("ADD R0, R1")
	f.emit("VLD1.P 16(R0), [V0.B16]")
	for back := 1; back <= 3; back++ {
		f.emit("VEXT $%d, V0.B16, V%d.B16, V%d.B16", 16-back, zero, back)
	}
	f.classify()

	f.label("round4")
	f.emit("ADD $64, R0, R4")
	f.emit("CMP R1, R4")
	f.emit("BHI round1")
	f.emit("VLD1 (R0), [V0.B16, V1.B16, V2.B16, V3.B16]")
	f.emit("VORR V1.B16, V0.B16, V0.B16")
	f.emit("VORR V3.B16, V2.B16, V2.B16")
	f.emit("VORR V2.B16, V0.B16, V0.B16")
	f.ascii(0)
	f.emit("BEQ ascii")
	for i := range 4 {
		f.vector("R0", 16*i)
	}
	f.emit("MOVD R4, R0")
	f.emit("B round4")

	f.label("ascii") // what stands before it must be whole
	f.emit("FMOVQ -16(R0), F0")
	f.uqsub(whole, 0, 0)
	f.emit("VORR V0.B16, V%d.B16, V%d.B16", err, err)
	f.emit("MOVD R4, R0")
	f.emit("B round4")

	f.label("round1")
	f.emit("ADD $16, R0, R4")
	f.emit("CMP R1, R4")
	f.emit("BHI last")
	f.vector("R0", 0)
	f.emit("MOVD R4, R0")
	f.emit("B round1")

	f.label("last")
	f.emit("CMP R1, R0")
	f.emit("BEQ end")
	f.vector("R1", -16)

	f.label("end")
	f.emit("VMOV V%d.D[0], R2", err)
	f.emit("VMOV V%d.D[1], R3", err)
	f.emit("ORR R3, R2")
	f.emit("CMP $0, R2")
	f.emit("CSET EQ, R2")
	f.emit("MOVB R2, ret+16(FP)")
	f.emit("RET")
}

// vector checks the 16 bytes at base, disp bytes on.
func (f *file) vector(base string, disp int) {
	for back := range 4 {
		f.emit("FMOVQ %d(%s), F%d", disp-back, base, back)
	}
	f.classify()
}

// classify checks V0, given the vectors that begin one, two and three bytes before it in V1 to V3.
// What the tables say of V1 and V0 must be two continuations, the highest bit, where a character
// begins in V2 or V3 that is long enough, and nothing elsewhere.
func (f *file) classify() {
	f.emit("VUSHR $4, V1.B16, V4.B16")
	f.emit("VTBL V4.B16, [V%d.B16], V4.B16", high)
	f.emit("VAND V%d.B16, V1.B16, V1.B16", nibble)
	f.emit("VTBL V1.B16, [V%d.B16], V1.B16", low)
	f.emit("VUSHR $4, V0.B16, V0.B16")
	f.emit("VTBL V0.B16, [V%d.B16], V0.B16", then)
	f.emit("VAND V4.B16, V1.B16, V1.B16")
	f.emit("VAND V1.B16, V0.B16, V0.B16")
	f.uqsub(third, 2, 2)
	f.uqsub(fourth, 3, 3)
	f.emit("VORR V2.B16, V3.B16, V3.B16")
	f.emit("VAND V%d.B16, V3.B16, V3.B16", top)
	f.emit("VEOR V3.B16, V0.B16, V0.B16")
	f.emit("VORR V0.B16, V%d.B16, V%d.B16", err, err)
}
