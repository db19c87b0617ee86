//go:build !linux

package engine

// movable is whether connections can move to another process.
const movable = false
