//go:build !amd64 && !arm64

package wsproto

func maskWins(int) bool   { return false }
func utf8Wins(int) bool   { return false }
func unmaskWins(int) bool { return false }

func maskVector([]byte, uint32, bool) bool { return false }
func utf8Vector([]byte) bool               { return false }
func unmaskVector([]byte, uint32) bool     { return false }
