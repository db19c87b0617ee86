package engine_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestNilFunctionsAreRefused at the call: a nil accept function panicked for each connection.
func TestNilFunctionsAreRefused(t *testing.T) {
	s := serve(t, engine.Config{Loops: 1}, echoes)
	pl, err := s.ListenPacket("udp", "127.0.0.1:0", echoPackets)
	if err != nil {
		t.Fatal(err)
	}
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	nc := s.dial(t)
	_, listen := s.Listen("tcp", "127.0.0.1:0", nil)
	_, serves := (engine.ListenConfig{}).Serve(s.Engine, nl, nil)
	_, packet := s.ListenPacket("udp", "127.0.0.1:0", nil)
	for what, err := range map[string]error{
		"Listen": listen, "Serve": serves, "ListenPacket": packet,
		"Dial":                s.Dial(context.Background(), "tcp", nl.Addr().String(), engine.DialConfig{}, nil),
		"Adopt":               s.Adopt(nc, nil, nil),
		"Post":                s.Post(0, nil),
		"Handle.Post":         (engine.Handle{}).Post(nil),
		"PacketListener.Post": pl.Post(nil),
		"OnShutdown":          s.OnShutdown(nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "is nil") {
			t.Errorf("%s: %v", what, err)
		}
	}
	ask(t, nc, "Adopt has left it alone")
	opened := make(chan *engine.Conn, 1)
	if _, err := s.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol { return echoOn(c) }); err != nil {
		t.Fatal(err)
	}
	s.Dial(t.Context(), "tcp", s.ln.String(), engine.DialConfig{}, func(c *engine.Conn, err error) engine.Protocol {
		opened <- c
		return echoOn(c)
	})
	c := receive(t, "connection", opened)
	panics := make(chan map[string]any, 1)
	c.Handle().Post(func(c *engine.Conn) {
		all := map[string]any{}
		for what, f := range map[string]func(){
			"AfterFunc":            func() { c.AfterFunc(0, nil) },
			"SetProtocol":          func() { c.SetProtocol(nil) },
			"Each":                 func() { engine.Each(func(func(engine.Handle) bool) {}, nil) },
			"SessionConfig.Accept": func() { engine.SessionConfig{}.Accept(nil) },
		} {
			func() {
				defer func() { all[what] = recover() }()
				f()
			}()
		}
		panics <- all
	})
	for what, v := range receive(t, "panics", panics) {
		if text, ok := v.(string); !ok || !strings.Contains(text, "is nil") {
			t.Errorf("%s: %v", what, v)
		}
	}
}

// TestContradictingLimitsAreRefused: with HighWater above MaxOutbound a slow reader was closed
// instead of paused.
func TestContradictingLimitsAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		config engine.Config
		text   string
	}{
		{name: "MaxOutbound", config: engine.Config{HighWater: 2000, MaxOutbound: 1000}, text: "HighWater"},
		{name: "default of MaxOutbound", config: engine.Config{HighWater: 17 << 20}, text: "MaxOutbound"},
		{name: "default of HighWater", config: engine.Config{MaxOutbound: 1000}},
		{name: "LowWater", config: engine.Config{HighWater: 1000, LowWater: 1001}, text: "LowWater"},
		{name: "all equal", config: engine.Config{HighWater: 1000, LowWater: 1000, MaxOutbound: 1000}},
	} {
		eng, err := engine.New(test.config)
		if err == nil {
			eng.Close()
		}
		if (err != nil) != (test.text != "") || err != nil && !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
