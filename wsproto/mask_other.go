package wsproto

func mask(b []byte, key uint32) { maskGeneric(b, key) }
