package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"runtime/debug"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// state is the memory of all parties at one moment.
type state struct {
	ServerRSS int64         `json:"server_rss"`
	ClientRSS int64         `json:"client_rss"`
	Server    serverFigures `json:"server"`
	System    systemMemory  `json:"system"`
}

// serverFigures are those figures of wsserver -metrics that are used here.
type serverFigures struct {
	Engine struct {
		Connections int `json:"connections"`
		Timers      int `json:"timers"`
	} `json:"engine"`
	Go struct {
		HeapInUse   int64   `json:"heap_in_use_bytes"`
		HeapLive    int64   `json:"heap_live_bytes"`
		Total       int64   `json:"total_bytes"`
		Allocated   int64   `json:"allocated_bytes"`
		Collections int     `json:"collections"`
		Pauses      int     `json:"pauses"`
		MaxPause    float64 `json:"max_pause_seconds"`

		PauseHistogram []pauseBucket `json:"pause_histogram"`
	} `json:"go"`
}

func (m *measuring) state(ctx context.Context) (s state, err error) {
	debug.FreeOSMemory() // do not count the client's garbage
	var errs [4]error
	s.ServerRSS, errs[0] = proc.RSS(m.server.PID)
	s.ClientRSS, errs[1] = proc.RSS(os.Getpid())
	s.System, errs[2] = readSystem("/proc")
	errs[3] = s.Server.read(ctx, m.figures)
	return s, errors.Join(errs[:]...)
}

// read reads what the server sends from a unix socket.
func (f *serverFigures) read(ctx context.Context, socket string) error {
	c, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	return json.NewDecoder(c).Decode(f)
}
