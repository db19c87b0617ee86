//go:build !amd64

package main

// rdtsc is for hosts that can run the guest: see fetch.
func rdtsc() uint64 { panic("unreachable") }
