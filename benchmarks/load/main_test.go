package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/engine"
)

// TestMain lets the test's own binary be the server that -server starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "serve" {
		serve(os.Args[2])
	}
	os.Exit(m.Run())
}

type echo struct{ c *engine.Conn }

func (p echo) Feed(b []byte) (int, error) {
	p.c.Write(b)
	return len(b), nil
}
func (echo) Closed(error) {}

func serve(addr string) {
	e, err := engine.New(engine.Config{Loops: 1})
	if err == nil {
		_, err = e.Listen("tcp", addr, func(c *engine.Conn) engine.Protocol { return echo{c} })
	}
	if err == nil {
		err = e.Run(context.Background())
	}
	if err != nil {
		panic(err)
	}
}

func TestRunWithServer(t *testing.T) {
	config := load.Config{Kind: load.Echo, Protocol: "tcp", Conns: 3, Size: 10, Duration: 100 * time.Millisecond}
	for _, hist := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		o := options{server: os.Args[0] + " serve {addr}", serverCPU: "", hist: hist}
		if err := run(t.Context(), config, o, &stdout, &stderr); err != nil {
			t.Fatal(err)
		}
		var r load.Result
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || bytes.Count(stdout.Bytes(), []byte{'\n'}) != 1 {
			t.Fatalf("%v: %q", err, stdout.String())
		}
		if r.Messages == 0 || r.Failed != 0 || r.ServerCPU <= 0 || (r.Latency.Hist != "") != hist ||
			(r.Handshake.Hist != "") != hist {
			t.Errorf("%+v", r)
		}
		if !strings.Contains(stderr.String(), "messages/s of 10 bytes") {
			t.Errorf("%q", stderr.String())
		}
	}
}

func TestRunErrors(t *testing.T) {
	for _, c := range []struct {
		name, want string
		o          options
	}{
		{name: "no server", want: "-addr"},
		{name: "processors", want: "separated by commas", o: options{server: "x", cpu: "all"}},
		{name: "server's processors", want: "separated by commas", o: options{server: "x", serverCPU: "0-1"}},
		{name: "command", want: "nowhere", o: options{server: "/nowhere/at/all {port}"}},
	} {
		if err := run(t.Context(), load.Config{}, c.o, nil, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if got, err := processors("1,0,"); err != nil || !reflect.DeepEqual(got, []int{1, 0}) {
		t.Errorf("%v, %v", got, err)
	}
}

// TestReportWarns checks that the report says if the generator was too slow.
func TestReportWarns(t *testing.T) {
	for _, slow := range []bool{false, true} {
		var stdout, stderr bytes.Buffer
		if err := report(load.Result{Bottleneck: slow}, false, &stdout, &stderr); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(stderr.String(), "bottleneck") != slow ||
			strings.Contains(stdout.String(), "load_was_bottleneck") != slow {
			t.Errorf("%v: %q, %q", slow, stderr.String(), stdout.String())
		}
	}
}
