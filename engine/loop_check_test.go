package engine_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestConnOutsideOfATurnPanics: between two turns nobody can be the loop's goroutine.
func TestConnOutsideOfATurnPanics(t *testing.T) {
	var conn *engine.Conn
	var timer *engine.Timer
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1, Logger: quiet}, func(c *engine.Conn) engine.Protocol {
		conn = c
		timer = c.AfterFunc(time.Hour, func() {})
		return echoOn(c)
	})
	p := s.net.Dial(s.ln.Addr())
	s.until(t, time.Second, func() bool { return conn != nil })
	for _, test := range []struct {
		name string
		call func()
	}{
		{name: "Write", call: func() { conn.Write([]byte("x")) }},
		{name: "Writev", call: func() { conn.Writev([]byte("x"), []byte("y")) }},
		{name: "WriteShared", call: func() { conn.WriteShared([]byte("x"), engine.SlowWait) }},
		{name: "AvailableBuffer", call: func() { conn.AvailableBuffer() }},
		{name: "Close", call: conn.Close},
		{name: "CloseWith", call: func() { conn.CloseWith(nil) }},
		{name: "CloseWrite", call: conn.CloseWrite},
		{name: "Abort", call: conn.Abort},
		{name: "Release", call: func() { conn.Release(func(net.Conn, []byte, []byte, error) {}) }},
		{name: "PauseRead", call: conn.PauseRead},
		{name: "AddHeld", call: func() { conn.AddHeld(1) }},
		{name: "SetGreedy", call: func() { conn.SetGreedy(true) }},
		{name: "SetProtocol", call: func() { conn.SetProtocol(echoOn(conn)) }},
		{name: "SetIdleTimeout", call: func() { conn.SetIdleTimeout(time.Second) }},
		{name: "SetTimeout", call: func() { conn.SetTimeout(time.Second) }},
		{name: "AfterFunc", call: func() { conn.AfterFunc(time.Second, func() {}) }},
		{name: "Timer.Stop", call: func() { timer.Stop() }},
		{name: "SetNoDelay", call: func() { conn.SetNoDelay(true) }},
		{name: "RemoteAddr", call: func() { conn.RemoteAddr() }},
		{name: "LocalAddr", call: func() { conn.LocalAddr() }},
	} {
		if v := panicOf(test.call); !strings.Contains(v, "use Handle") {
			t.Errorf("%s: panic %q", test.name, v)
		}
	}
	p.Send([]byte("hello"))
	var got []byte
	s.until(t, time.Second, func() bool { got = append(got, p.Recv(10)...); return len(got) == 5 })
	if string(got) != "hello" {
		t.Errorf("the echo is %q: a call that panicked has left something", got)
	}
	s.InTurn(0, conn.Abort)
	s.until(t, time.Second, func() bool { return s.StatsNow().Connections == 0 })
	if _, err := conn.Write([]byte("x")); err != engine.ErrClosed {
		t.Errorf("Write of a closed Conn: %v", err)
	}
}

func panicOf(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

// TestConnFromAnotherGoroutinePanics: a loop that waits for events is in no turn.
func TestConnFromAnotherGoroutinePanics(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector finds it first")
	}
	conns := make(chan *engine.Conn, 1)
	s := serve(t, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		conns <- c
		return echoOn(c)
	})
	s.dial(t)
	c := receive(t, "connection", conns)
	// In a turn, such as that of the accept function, it is not noticed.
	again := func() { c.SetGreedy(false) }
	eventually(t, "panic", func() bool { return strings.Contains(panicOf(again), "use Handle") })
}
