package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// trial is a measurement of one server with one number of connections.
type trial struct {
	Conns  int
	Window int    // connections to open, and echoes in flight, at a time
	Size   int    // of a message, in bytes
	GOGC   int    // of the server
	Clock  string // of the guest: clockReal or clockInstructions
	TLS    bool   // TLS 1.3; all handshakes but the first ones resume a session

	Handover bool // before the echoes a new process takes over

	Server []string // the command that starts wsserver
	Where  string
	say    func(format string, a ...any) // reports progress
	done   func(result)                  // is called before the connections are closed, if not nil
}

// result is the result of a trial. Memory is in bytes, times are in seconds.
type result struct {
	Where      string `json:"where"`           // "guest" or "native"
	Clock      string `json:"clock,omitempty"` // the guest's; "": real
	TLS        bool   `json:"tls,omitempty"`
	Conns      int    `json:"conns"`
	Size       int    `json:"size"`
	GOGC       int    `json:"gogc"`
	CPUs       int    `json:"cpus"`
	Kernel     string `json:"kernel"`
	Go         string `json:"go"`
	When       string `json:"when"`
	QEMU       string `json:"qemu,omitempty"`
	Opened     int    `json:"opened"`
	Echoed     int    `json:"echoed"` // messages that came back
	Heard      int    `json:"heard"`  // connections that received the broadcast
	Failed     int    `json:"failed"` // connections that could not be opened, or ended
	Wrong      int    `json:"wrong"`  // messages that differ from what was sent
	FirstError string `json:"first_error,omitempty"`
	Connect    span   `json:"connect"`
	Echo       span   `json:"echo"`
	Broadcast  span   `json:"broadcast"`

	Handover *handover `json:"handover,omitempty"`

	Before    state  `json:"before"`    // the server has no connection
	Connected state  `json:"connected"` // all are open
	After     state  `json:"after"`     // after the echoes and the broadcast
	Error     string `json:"error,omitempty"`
}

// span is the duration of a part of a trial.
type span struct {
	Seconds float64 `json:"seconds"`
	Server  float64 `json:"server_cpu"`
	Client  float64 `json:"client_cpu"`
}

// patience is how long a phase may go without progress.
const patience = 2 * time.Minute

// run measures. With an error it returns the part of the result that it has.
func (t trial) run(ctx context.Context) (r result, err error) {
	r = result{Where: t.Where, Clock: t.Clock, TLS: t.TLS, Conns: t.Conns, Size: t.Size, GOGC: t.GOGC,
		CPUs: runtime.NumCPU(), Kernel: kernelRelease(), Go: runtime.Version(),
		When: time.Now().UTC().Format(time.DateTime)}
	// The socket's name is in the abstract namespace: unix(7).
	m := &measuring{trial: t, figures: fmt.Sprintf("@million-%d", os.Getpid())}
	m.start = proc.StartConfig{
		Command: append(slices.Clip(t.Server), "-addr", "{addr}", "-loops", "1", "-metrics", m.figures,
			"-idle-timeout", "24h"),
		Env:     []string{fmt.Sprintf("GOGC=%d", t.GOGC)},
		Timeout: time.Minute,
	}
	loading := load.Config{Protocol: "ws", Conns: t.Conns, Size: t.Size, Opening: t.Window, Timeout: patience}
	if t.TLS {
		m.start.Command = append(m.start.Command, "-tls")
		if loading.Layer, err = clientLayer(); err != nil {
			return r, err
		}
	}
	if t.Handover {
		dir, err := os.MkdirTemp("", "million")
		if err != nil {
			return r, err
		}
		defer os.RemoveAll(dir)
		m.start.Command = append(m.start.Command, "-handover", filepath.Join(dir, "handover"))
	}
	if runtime.NumCPU() > 1 { // otherwise both share it
		m.start.CPUs = []int{0}
		if err := proc.Pin(1); err != nil {
			return r, err
		}
	}
	if m.server, err = proc.Start(m.start); err != nil {
		return r, err
	}
	defer func() { m.server.Stop() }()

	loading.Addr, loading.ServerPID = m.server.Addr, m.server.PID
	if m.session, err = load.NewSession(loading); err != nil {
		return r, err
	}
	defer m.session.Close()
	if err = errors.Join(m.run(ctx, &r), r.flaw()); err != nil {
		r.Error = err.Error()
	}
	if t.done != nil {
		t.done(r)
	}
	return r, err
}

// clientLayer returns the client's TLS. It trusts every server, and uses what takes an emulated
// processor the least time.
func clientLayer() (engine.Layer, error) {
	layer, err := tlslayer.New(tlslayer.Config{HandshakeTimeout: patience, TLS: &tls.Config{
		InsecureSkipVerify: true, CurvePreferences: []tls.CurveID{tls.X25519},
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
	}})
	if err != nil {
		return nil, err
	}
	return layer.Client("localhost"), nil
}

// flaw returns an error if not all connections and messages were in order.
func (r result) flaw() error {
	if r.Opened == r.Conns && r.Echoed == r.Conns && r.Heard == r.Conns && r.Failed == 0 && r.Wrong == 0 {
		return nil
	}
	return fmt.Errorf("of %d connections %d opened, %d echoed, %d received the broadcast, %d failed; "+
		"%d messages were wrong: %s", r.Conns, r.Opened, r.Echoed, r.Heard, r.Failed, r.Wrong, r.FirstError)
}

// measuring is a trial in progress.
type measuring struct {
	trial
	session *load.Session
	start   proc.StartConfig
	server  *proc.Server
	figures string // the unix socket for the server's figures
}

func (m *measuring) run(ctx context.Context, r *result) (err error) {
	defer func() {
		r.Failed = m.session.Failed()
		if first := m.session.FirstError(); first != nil {
			r.FirstError = first.Error()
		}
	}()
	if r.Before, err = m.state(ctx); err != nil {
		return err
	}
	if err := m.whileServed(ctx, func(ctx context.Context) error { return m.connect(ctx, r) }); err != nil {
		return err
	}
	if m.Handover {
		if r.Handover, err = m.handOver(ctx); err != nil {
			return err
		}
	}
	return m.whileServed(ctx, func(ctx context.Context) error { return m.talk(ctx, r) })
}

// whileServed calls f with a context that is done when the server ends.
func (m *measuring) whileServed(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	server := m.server
	go func() {
		select {
		case <-server.Exited():
			cancel(fmt.Errorf("the server ended: %s", server.Output()))
		case <-ctx.Done():
		}
	}()
	return f(ctx)
}

// connect opens all connections.
func (m *measuring) connect(ctx context.Context, r *result) (err error) {
	if r.Connect, err = m.open(ctx); err != nil {
		return err
	}
	r.Opened = m.session.Opened()
	r.Connected, err = m.state(ctx)
	return err
}

// talk echoes a message on each connection, and sends one to all.
func (m *measuring) talk(ctx context.Context, r *result) (err error) {
	var echo, broadcast load.Result
	m.during("echoing", func() { echo, err = m.session.EchoOnce(ctx) })
	if err != nil {
		return err
	}
	r.Echoed, r.Wrong, r.Echo = int(echo.Messages), int(echo.Wrong), spanOf(echo)
	m.during("broadcasting", func() { broadcast, err = m.session.Broadcast(ctx) })
	if err != nil {
		return err
	}
	r.Heard, r.Wrong, r.Broadcast = int(broadcast.Messages), int(broadcast.Wrong), spanOf(broadcast)
	r.After, err = m.state(ctx)
	return err
}

// spanOf returns a result's time and CPU times.
func spanOf(r load.Result) span {
	return span{Seconds: r.Seconds, Server: r.ServerBusy * r.Seconds, Client: r.LoadBusy * r.Seconds}
}

// open opens all connections.
func (m *measuring) open(ctx context.Context) (s span, err error) {
	server, err1 := proc.CPUTime(m.server.PID)
	client, err2 := proc.CPUTime(os.Getpid())
	begin := time.Now()
	m.during("opening", func() { err = m.session.Open(ctx, m.Conns) })
	s.Seconds = time.Since(begin).Seconds()
	server2, err3 := proc.CPUTime(m.server.PID)
	client2, err4 := proc.CPUTime(os.Getpid())
	s.Server, s.Client = (server2 - server).Seconds(), (client2 - client).Seconds()
	return s, errors.Join(err, err1, err2, err3, err4)
}

// during calls f, and reports progress every five seconds and at the end.
func (m *measuring) during(doing string, f func()) {
	begin := time.Now()
	over := make(chan struct{})
	go func() {
		f()
		close(over)
	}()
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-over:
			done = true
		case <-tick.C:
		}
		m.say("%s for %.1f s, %d connections of %d", doing, time.Since(begin).Seconds(), m.session.Opened(), m.Conns)
	}
}

func kernelRelease() string {
	var u unix.Utsname
	unix.Uname(&u)
	return strings.TrimRight(string(u.Release[:]), "\x00")
}
