package engine_test

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// BenchmarkHandover moves 4,000 idle connections between two engines of this process. us/conn and
// kernel-us/conn are the processor's time for both sides together, bytes/conn is the memory of a
// connection that has come, and that of one that was accepted.
func BenchmarkHandover(b *testing.B) {
	const conns = 4000
	h := engine.Handover{Path: handoverPath(b), Load: loadMover}
	c := engine.Config{Loops: 2}
	empty := heap()
	g := begin(b, h, c, engine.ListenConfig{}, newMover)
	g.run()
	for range conns {
		nc, err := net.Dial("tcp", g.ln.String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { nc.Close() })
	}
	eventually(b, "connections", func() bool { return stats(b, g.Engine).Connections == conns })
	accepted := heap() - empty
	var user, kernel, took time.Duration
	for range b.N {
		var before, after syscall.Rusage
		runtime.GC() // not a part of it
		syscall.Getrusage(syscall.RUSAGE_SELF, &before)
		g = g.handOver(b, h, c, engine.ListenConfig{}, newMover)
		eventually(b, "arrival", func() bool { return stats(b, g.Engine).Connections == conns })
		syscall.Getrusage(syscall.RUSAGE_SELF, &after)
		user += time.Duration(after.Utime.Nano() - before.Utime.Nano())
		kernel += time.Duration(after.Stime.Nano() - before.Stime.Nano())
		took += g.Handover().Took
	}
	each := float64(b.N * conns)
	b.ReportMetric(float64(user.Microseconds())/each, "us/conn")
	b.ReportMetric(float64(kernel.Microseconds())/each, "kernel-us/conn")
	b.ReportMetric(took.Seconds()*1000/float64(b.N), "ms/handover")
	b.ReportMetric(float64(heap()-empty)/conns, "bytes/conn")
	b.ReportMetric(float64(accepted)/conns, "accepted-bytes/conn")
}
