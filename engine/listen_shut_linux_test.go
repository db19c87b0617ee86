package engine_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestListenerThatAnotherProcessShutsDown: epoll reports that unasked, also while accepting is
// paused, and the loop spun for ever.
func TestListenerThatAnotherProcessShutsDown(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1, Logger: quiet}, echoes)
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	other, err := nl.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if s.ln, err = (engine.ListenConfig{}).Serve(s.Engine, nl, echoes); err != nil {
		t.Fatal(err)
	}
	ask(t, s.dial(t), "before")
	turns := func() uint64 {
		stats, err := s.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return stats.Turns
	}
	if err := syscall.Shutdown(int(other.Fd()), syscall.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	begin, before := time.Now(), turns()
	eventually(t, "some pauses", func() bool { return time.Since(begin) > 300*time.Millisecond })
	if n := turns() - before; n > 2000 { // eventually asks every millisecond or so
		t.Errorf("%d turns in %v", n, time.Since(begin))
	}
}
