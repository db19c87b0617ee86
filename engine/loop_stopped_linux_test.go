package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

const stoppedIdle = 700 * time.Millisecond

// TestStoppedProcessClosesNobodyWhoHasSent: the process is stopped for three idle timeouts. What
// has come meanwhile is read before the timeouts are, so no connection with waiting bytes is
// closed; and none that has really been silent is kept.
func TestStoppedProcessClosesNobodyWhoHasSent(t *testing.T) {
	if os.Getenv("MYRIAD_STOPPED") != "" {
		echoUntilStdinEnds(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestStoppedProcessClosesNobodyWhoHasSent$", "-test.v")
	child.Env = append(os.Environ(), "MYRIAD_STOPPED=1")
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer stdin.Close()
	defer child.Process.Signal(syscall.SIGCONT)
	address := ""
	for lines := bufio.NewScanner(stdout); address == "" && lines.Scan(); {
		_, address, _ = strings.Cut(lines.Text(), "listening on ")
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(patience))
		ask(t, c, "hello")
		return c
	}
	var lively, silent []net.Conn
	for len(lively) < 1200 { // more than the kernel reports at once
		lively = append(lively, dial())
	}
	for range 100 {
		silent = append(silent, dial())
	}
	for _, c := range append(silent, lively...) {
		if _, err := io.WriteString(c, "x"); err != nil { // its idle timeout begins
			t.Fatal(err)
		}
	}
	child.Process.Signal(syscall.SIGSTOP)
	const rounds = 24
	for range rounds {
		for _, c := range lively {
			io.WriteString(c, ".")
		}
		time.Sleep(3 * stoppedIdle / rounds)
	}
	child.Process.Signal(syscall.SIGCONT)
	for i, c := range lively {
		c.SetDeadline(time.Now().Add(patience)) // not that of dial, which may have been long ago
		if _, err := io.ReadFull(c, make([]byte, 1+rounds)); err != nil {
			t.Fatalf("lively connection %d was closed: %v", i, err)
		}
	}
	kept := 0
	for _, c := range silent {
		c.SetDeadline(time.Now().Add(patience))
		if b, err := io.ReadAll(c); err != nil || strings.Trim(string(b), "x") != "" {
			kept++
		}
	}
	if kept > 0 {
		t.Errorf("%d silent connections of %d were kept", kept, len(silent))
	}
}

func echoUntilStdinEnds(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		return &proto{feed: func(b []byte) (int, error) {
			if b[0] == 'x' { // everybody is connected
				c.SetIdleTimeout(stoppedIdle)
			}
			c.Write(b)
			return len(b), nil
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening on " + ln.String())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	eng.Run(ctx)
}

// TestHandlerThatTakesLongClosesNobodyWhoHasSent: a callback of one connection takes longer than
// the idle timeout of another one, and than its handshake may take, which has sent all the time.
func TestHandlerThatTakesLongClosesNobodyWhoHasSent(t *testing.T) {
	const timeout = 100 * time.Millisecond
	busy := make(chan bool, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		c.SetTimeout(timeout)
		return &proto{feed: func(b []byte) (int, error) {
			if b[0] == 'S' { // a slow one
				busy <- true
				time.Sleep(3 * timeout) // it is what the test is about
			}
			c.SetTimeout(0)
			c.SetIdleTimeout(timeout)
			c.Write(b)
			return len(b), nil
		}}
	})
	slow, lively, late := s.dial(t), s.dial(t), s.dial(t)
	ask(t, slow, "x")
	ask(t, lively, "x")
	io.WriteString(slow, "S")
	receive(t, "the slow callback", busy) // so what follows waits, and is not of the same batch
	io.WriteString(lively, "y")
	io.WriteString(late, "y")
	for _, c := range []net.Conn{lively, late} {
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			t.Errorf("closed although bytes waited: %v", err)
		}
	}
}
