//go:build !amd64 && !arm64

package wsproto

func allVectors() []vectorSet { return []vectorSet{scalar} }

func force(vectorSet) {}

func kernels() []kernel { return nil }
