package wsproto

func addVariants(v map[string]func([]byte, uint32)) {
	if !detectAVX2() {
		return
	}
	v["generic"] = func(b []byte, key uint32) {
		useVectors = false
		mask(b, key)
		useVectors = true
	}
	v["vector"] = func(b []byte, key uint32) {
		if len(b) < 32 {
			mask(b, key)
			return
		}
		maskVector(b, key)
	}
}
