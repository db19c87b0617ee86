//go:build !linux

package engine

import "errors"

// movable is whether connections can move to another process.
const movable = false

func linkPair() (our, their int, err error) { return -1, -1, errors.ErrUnsupported }

func closeLink(int) {}
