//go:build !amd64

package wsproto

const (
	useVectors = false
	vectorMin  = 0
)

func maskVector([]byte, uint32) {}
