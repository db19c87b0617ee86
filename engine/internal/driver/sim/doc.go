// Package sim is the deterministic twin of a kernel: a network in memory, a clock, and a
// driver.Backend. Only tests use it.
//
// The same seed and the same calls give exactly the same behaviour. Nothing here looks at the time,
// starts a goroutine or walks a map. A Network, its drivers and its peers belong to one goroutine,
// which steps the loops one after the other. Only Wake may be called from any other.
//
// What a program must not do with descriptors, such as using a closed one or one of another loop,
// panics here. An engine that recovers panics of its handlers would hide that, so Network.Check
// reports the first such misuse as well.
package sim
