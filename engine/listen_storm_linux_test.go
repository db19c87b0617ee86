package engine_test

import (
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// storms is how many connections a storm has: MYRIAD_CONNS, by default few enough for every run of
// the tests.
func storms(t *testing.T) int {
	t.Helper()
	v := os.Getenv("MYRIAD_CONNS")
	if v == "" {
		return 2000
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hesitant consumes pairs of bytes and has timers, so that a connection that ends at any time
// leaves something to clean up.
type hesitant struct {
	c     *engine.Conn
	ended *atomic.Int64
}

func (p *hesitant) Feed(b []byte) (int, error) {
	n := len(b) &^ 1
	p.c.Write(b[:n])
	return n, nil
}
func (p *hesitant) Closed(error) { p.ended.Add(1) }

// TestShortConnectionsLeaveNothing: connections that end by FIN, by reset or in the middle of a
// message give back their descriptors, memory, timers and goroutines.
func TestShortConnectionsLeaveNothing(t *testing.T) {
	total := storms(t)
	var ended atomic.Int64
	s := serve(t, engine.Config{Loops: 2}, func(c *engine.Conn) engine.Protocol {
		c.SetIdleTimeout(time.Minute)
		c.SetTimeout(time.Hour)
		c.AfterFunc(time.Hour, func() {})
		return &hesitant{c, &ended}
	})
	address := &syscall.SockaddrInet4{Port: int(s.ln.Addr().Port()), Addr: [4]byte{127, 0, 0, 1}}
	storm := func(n int) {
		before := ended.Load()
		for i := range n {
			fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
			if err == nil {
				err = syscall.Connect(fd, address)
			}
			if err != nil {
				t.Fatal(err)
			}
			switch i % 4 {
			case 0: // nothing said
			case 1, 2: // in the middle of a message, then FIN or reset
				syscall.Write(fd, []byte("odd"))
			case 3: // all done
				syscall.Write(fd, []byte("even"))
				syscall.Read(fd, make([]byte, 4))
			}
			if i%3 == 0 {
				syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1})
			}
			syscall.Close(fd)
		}
		eventually(t, "end of all connections", func() bool { return ended.Load() == before+int64(n) })
	}
	storm(total / 10) // pools and tables get their size
	fds, memory, goroutines := descriptors(t), heap(), runtime.NumGoroutine()
	storm(total)
	eventually(t, "descriptors", func() bool { return descriptors(t) <= fds })
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	if now := heap(); now > memory+256<<10 {
		t.Errorf("%d bytes of heap, %d before", now, memory)
	}
	checked := make(chan error, 1)
	for i := range s.Loops() {
		s.Post(i, func() { checked <- s.Left(i) })
		if err := receive(t, "check", checked); err != nil {
			t.Error(err)
		}
	}
}
