package examples

import (
	"net"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// TestChatIsReplacedQuickly: each process is told to start the next one as soon as it is the main
// one, and twice. Each of them starts one, and a client stays.
func TestChatIsReplacedQuickly(t *testing.T) {
	dir := t.TempDir()
	n := listenNotify(t, filepath.Join(dir, "notify"))
	p := run(t, "chat", "-addr", "127.0.0.1:0", "-handover", filepath.Join(dir, "handover"))
	c, err := tryChat(t, p.address, "?secret=the+secret+of+Ada&name=Ada")
	if err != nil {
		t.Fatal(err)
	}
	pid := p.Process.Pid
	for range 4 {
		syscall.Kill(pid, syscall.SIGUSR2)
		syscall.Kill(pid, syscall.SIGUSR2)
		next, err := strconv.Atoi(n.await(t, "MAINPID="))
		if err != nil || next == pid {
			t.Fatalf("MAINPID=%d after %d, %v", next, pid, err)
		}
		t.Cleanup(func() { syscall.Kill(next, syscall.SIGKILL) })
		pid = next
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the first process ends with %v", err)
	}
	pong(t, c)
	ping(t, p.address)
}

// pong asks for a pong on a connection that is open.
func pong(t *testing.T, c net.Conn) {
	t.Helper()
	wsutil.WriteClientText(c, []byte(`{"type":"ping"}`))
	if b, err := wsutil.ReadServerText(c); err != nil || string(b) != `{"type":"pong"}` {
		t.Fatalf("%s, %v", b, err)
	}
}

// TestChatWithTwoSuccessors: of two processes that begin at the same time one takes over from the
// other.
func TestChatWithTwoSuccessors(t *testing.T) {
	flags := []string{"-addr", "127.0.0.1:0", "-handover", filepath.Join(t.TempDir(), "handover")}
	p := run(t, "chat", flags...)
	c, err := tryChat(t, p.address, "?secret=the+secret+of+Ada&name=Ada")
	if err != nil {
		t.Fatal(err)
	}
	type end struct {
		*process
		err error
	}
	begun, ended := make(chan *process, 2), make(chan end, 2)
	for range 2 {
		go func() { begun <- run(t, "chat", flags...) }()
	}
	left := make(map[*process]bool)
	for range 2 {
		select {
		case q := <-begun:
			left[q] = true
			go func() { ended <- end{q, q.Wait()} }()
			if q.address != p.address {
				t.Fatalf("it listens on %s, want %s", q.address, p.address)
			}
		case <-time.After(patience):
			t.Fatal("one of them does not listen")
		}
	}
	if err := p.Wait(); err != nil {
		t.Errorf("the old process ends with %v", err)
	}
	select {
	case e := <-ended:
		if e.err != nil {
			t.Errorf("the one between ends with %v", e.err)
		}
		delete(left, e.process)
	case <-time.After(patience):
		t.Fatal("both serve")
	}
	pong(t, c)
	ping(t, p.address)
	for q := range left {
		q.Process.Signal(syscall.SIGTERM)
		if e := <-ended; e.err != nil {
			t.Errorf("the last one ends with %v", e.err)
		}
	}
}

// TestChatMovesToAnotherAddress: connections move to a process that listens elsewhere, and the old
// address refuses others.
func TestChatMovesToAnotherAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handover")
	p := run(t, "chat", "-addr", "127.0.0.1:0", "-handover", path)
	c, err := tryChat(t, p.address, "?secret=the+secret+of+Ada&name=Ada")
	if err != nil {
		t.Fatal(err)
	}
	next := run(t, "chat", "-addr", "127.0.0.2:0", "-handover", path)
	p.wait(t)
	pong(t, c)
	ping(t, next.address)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		nc, err := net.Dial("tcp", p.address)
		if err != nil {
			break
		}
		nc.Close()
		if time.Now().After(deadline) {
			t.Fatal("somebody listens on the old address")
		}
	}
	next.stop(t, syscall.SIGTERM)
}
