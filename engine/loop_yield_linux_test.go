package engine_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestSaturatedLoopLetsOthersRun: a loop that always finds events must not keep goroutines of the
// same process from their sockets. On one processor each look of the runtime at the network took
// 10 ms. What counts is the processor's time, so that a busy machine makes no difference.
func TestSaturatedLoopLetsOthersRun(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	echo := func(c *engine.Conn) engine.Protocol { return echoOn(c) }
	s := serve(t, engine.Config{Loops: 1}, echo)
	for range 8 { // it plays with itself, so that it is never out of events
		done := func(c *engine.Conn, err error) engine.Protocol {
			if err != nil {
				t.Error(err)
				return nil
			}
			c.Write([]byte("x"))
			return echo(c)
		}
		if err := s.Dial(t.Context(), "tcp", s.ln.Addr().String(), engine.DialConfig{}, done); err != nil {
			t.Fatal(err)
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		if c, err := ln.Accept(); err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var times []time.Duration
	for range 41 {
		begin := processorTime(t)
		ask(t, c, "ping")
		times = append(times, processorTime(t)-begin)
	}
	slices.Sort(times)
	if median := times[len(times)/2]; median > 5*time.Millisecond {
		t.Errorf("median of a round trip between goroutines: %v", median)
	}
	t.Logf("round trips: %v, %v, %v", times[0], times[len(times)/2], times[len(times)-1])
}

// processorTime returns how long the process has used a processor.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
