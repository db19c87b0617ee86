package wsproto

func allVectors() []vectorSet { return []vectorSet{scalar, neon} }

func force(set vectorSet) { vectors = set }

// kernels are the functions in assembly.
func kernels() []kernel {
	return []kernel{
		{name: "maskNEON", least: 16, mask: func(b []byte, key uint32) { maskNEON(&b[0], len(b), key) }},
		{name: "maskTextNEON", least: 16,
			maskText: func(b []byte, key uint32) bool { return maskTextNEON(&b[0], len(b), key) }},
		{name: "utf8NEON", least: 19, utf8: func(b []byte) bool { return utf8NEON(&b[0], len(b)) }},
	}
}
