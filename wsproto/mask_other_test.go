//go:build !amd64

package wsproto

func addVariants(map[string]func([]byte, uint32)) {}
