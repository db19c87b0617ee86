package main

// mask is like the one for amd64: 64 bytes in a round, then 16. The last 16 are read first and
// written last, over what the rounds write.
func (f *file) mask(name string, text bool) {
	signature, size, doc := "(b *byte, n int, key uint32)", 20,
		name+" xors the n bytes at b, at least 16, with key repeated"
	if text {
		signature, size, doc = signature+" (ascii bool)", 25, doc+", and reports whether all of them are ASCII then"
	}
	const key, last, high = 16, 17, 18
	f.function(name, signature, size, doc+".")
	f.emit("MOVD b+0(FP), R0")
	f.emit("MOVD n+8(FP), R1")
	f.emit("MOVWU key+16(FP), R2")
	f.emit("VDUP R2, V%d.S4", key)
	f.emit("ADD R0, R1, R4")
	f.emit("LSL $3, R1, R3") // the key of the last 16 bytes is rotated by n%%4 bytes
	f.emit("RORW R3, R2, R2")
	f.emit("VDUP R2, V%d.S4", last)
	f.emit("FMOVQ -16(R4), F0")
	f.emit("VEOR V0.B16, V%d.B16, V%d.B16", last, last)
	if text {
		f.emit("VMOV V%d.B16, V%d.B16", last, high)
	}

	f.label("round4")
	f.emit("CMP $64, R1")
	f.emit("BLT round1")
	f.emit("VLD1 (R0), [V0.B16, V1.B16, V2.B16, V3.B16]")
	for i := range 4 {
		f.emit("VEOR V%d.B16, V%d.B16, V%d.B16", key, i, i)
	}
	f.emit("VST1.P [V0.B16, V1.B16, V2.B16, V3.B16], 64(R0)")
	if text {
		f.emit("VORR V1.B16, V0.B16, V0.B16")
		f.emit("VORR V3.B16, V2.B16, V2.B16")
		f.emit("VORR V2.B16, V0.B16, V0.B16")
		f.emit("VORR V0.B16, V%d.B16, V%d.B16", high, high)
	}
	f.emit("SUB $64, R1")
	f.emit("B round4")

	f.label("round1")
	f.emit("CMP $16, R1")
	f.emit("BLT end")
	f.emit("VLD1 (R0), [V0.B16]")
	f.emit("VEOR V%d.B16, V0.B16, V0.B16", key)
	f.emit("VST1.P [V0.B16], 16(R0)")
	if text {
		f.emit("VORR V0.B16, V%d.B16, V%d.B16", high, high)
	}
	f.emit("SUB $16, R1")
	f.emit("B round1")

	f.label("end")
	f.emit("FMOVQ F%d, -16(R4)", last)
	if text {
		f.ascii(high)
		f.emit("CSET EQ, R2")
		f.emit("MOVB R2, ascii+24(FP)")
	}
	f.emit("RET")
}

// ascii compares: equal if the highest bit of no byte of register v is set.
func (f *file) ascii(v int) {
	f.emit("VMOV V%d.D[0], R2", v)
	f.emit("VMOV V%d.D[1], R3", v)
	f.emit("ORR R3, R2")
	f.emit("TST $0x8080808080808080, R2")
}
