package engine_test

import (
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestControlThatPanics: a Control that panicked left its socket behind, and with PerLoop those
// before it, which kept the address and let peers connect.
func TestControlThatPanics(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer eng.Close()
	calls := 0
	control := func(string, string, syscall.RawConn) error {
		if calls++; calls%2 == 0 {
			panic("of the user")
		}
		return nil
	}
	listen := func() {
		defer func() { recover() }()
		lc := engine.ListenConfig{PerLoop: true, Control: control}
		_, err := lc.Listen(eng, "tcp", "127.0.0.1:0", func(*engine.Conn) engine.Protocol { return nil })
		t.Errorf("Listen returns: %v", err)
	}
	listen() // package net may open something for the first time
	before := descriptors(t)
	for range 8 {
		listen()
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors, before %d", now, before)
	}
	if calls != 18 {
		t.Errorf("%d calls of Control", calls)
	}
}
