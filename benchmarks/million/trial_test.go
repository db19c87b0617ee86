package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTrial(t *testing.T) {
	wsserver := filepath.Join(t.TempDir(), "wsserver")
	build := exec.Command("go", "build", "-o", wsserver, "github.com/myriadnet/myriad/benchmarks/wsserver")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var told *result
	trial := trial{Conns: 200, Window: 16, Size: 100, GOGC: 20, Server: []string{wsserver}, Where: "native",
		say: t.Logf, done: func(r result) { told = &r }}
	r, err := trial.run(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if told == nil || told.Heard != 200 {
		t.Errorf("done was called with %+v", told)
	}
	trial.TLS, trial.done, trial.Conns = true, nil, 50
	if secure, err := trial.run(context.Background()); err != nil || secure.Heard != 50 {
		t.Errorf("with TLS: %d connections received the broadcast; %v", secure.Heard, err)
	}
	trial.TLS, trial.Handover = false, true
	moved, err := trial.run(context.Background())
	if err != nil || moved.Heard != 50 {
		t.Fatalf("with a handover: %d connections received the broadcast; %v", moved.Heard, err)
	}
	if h := moved.Handover; h.Connections < 50 || h.ServerRSS == 0 || h.Seconds == 0 || h.Server == 0 {
		t.Errorf("handover %+v", h)
	}
	if r.Error != "" || r.Opened != 200 || r.Echoed != 200 || r.Heard != 200 {
		t.Errorf("result %+v", r)
	}
	// The connection that proc.Start has tried may still be among them.
	if n := r.Connected.Server.Engine.Connections; n < 200 || n > 201 {
		t.Errorf("the server has %d connections", n)
	}
	if r.Connected.Server.Engine.Timers < 200 || r.Connected.System.Sockets < 400 {
		t.Errorf("%d timers, %d sockets", r.Connected.Server.Engine.Timers, r.Connected.System.Sockets)
	}
	if len(r.After.Server.Go.PauseHistogram) == 0 { // there is a collection when the process starts
		t.Error("no histogram of the stops of the world")
	}
	if r.After.ServerRSS == 0 || r.After.Server.Go.HeapLive == 0 || r.Echo.Seconds == 0 || r.Broadcast.Server == 0 {
		t.Errorf("nothing measured: %+v", r)
	}
}

func TestTrialWithoutServer(t *testing.T) {
	trial := trial{Conns: 2, Window: 1, Size: 10, GOGC: 20, say: t.Logf,
		Server: []string{filepath.Join(t.TempDir(), "none")}}
	if _, err := trial.run(context.Background()); err == nil {
		t.Error("no error")
	}
}

func TestParseNumbers(t *testing.T) {
	if got, err := parseNumbers("10, 2000000"); err != nil || len(got) != 2 || got[0] != 10 || got[1] != 2000000 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "0", "-1", "many", "1,,2", "1e6", "99999999999"} {
		if got, err := parseNumbers(bad); err == nil {
			t.Errorf("parseNumbers accepts %q as %v", bad, got)
		}
	}
}

// TestInitScript checks the syntax of the guest's init, where a mistake would show late.
func TestInitScript(t *testing.T) {
	script := fillScript(trial{Conns: 70_000, Window: 5, Size: 6, GOGC: 7, Clock: clockInstructions})
	for _, want := range []string{
		"ulimit -n 71000\n", " /million -guest -conns 70000 -window 5 -size 6 -gogc 7 -clock instructions -tls=false " +
			"-handover=false\n",
	} {
		if !strings.Contains(script, want) {
			t.Errorf("lacks %q:\n%s", want, script)
		}
	}
	if strings.Contains(script, "FILES") || strings.Contains(script, "ARGS") {
		t.Errorf("a placeholder is left:\n%s", script)
	}
	sh := exec.Command("sh", "-n")
	sh.Stdin = bytes.NewReader([]byte(script))
	if out, err := sh.CombinedOutput(); err != nil {
		t.Errorf("sh: %v\n%s", err, out)
	}
}
