// Package epoll drives a loop with epoll(7).
//
// A Poll that waits is a system call that the Go scheduler knows of. What cannot block is a raw
// one: a Poll with timeout 0, a read with MSG_DONTWAIT. The scheduler's bookkeeping around a call
// costs more than the rest of our work on it.
package epoll
