// Package kqueue drives a loop with kqueue(2), on macOS and the BSDs.
//
// batch.go translates what the kernel reports. It is pure and tested on any system. poller.go makes
// the system calls. Only the BSDs build it.
package kqueue
