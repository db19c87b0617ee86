package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// handover is what it took to replace the server by a new process, which took over all connections.
type handover struct {
	span                // Server is the CPU time of both
	User        float64 `json:"user"` // of it, outside the kernel
	Connections int     `json:"connections"`
	ServerRSS   int64   `json:"server_rss"` // of the new process
}

// handOver starts the new process. From then on m.server is that one.
func (m *measuring) handOver(ctx context.Context) (*handover, error) {
	old, start := m.server, m.start
	start.Addr = old.Addr
	start.Command = slices.Clone(start.Command)
	m.figures += "-next"
	start.Command[slices.Index(start.Command, "-metrics")+1] = m.figures
	user, system, err := proc.Split(old.PID)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if m.server, err = proc.Start(start); err != nil {
		m.server = old
		return nil, err
	}
	m.during("handing over", func() {
		select {
		case <-old.Exited():
		case <-m.server.Exited():
			err = fmt.Errorf("the new server ended: %s", m.server.Output())
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	})
	if err != nil {
		old.Stop()
		return nil, err
	}
	h := &handover{span: span{Seconds: time.Since(begin).Seconds()}}
	if said := strings.TrimSpace(old.Output()); strings.Contains(said, "\n") { // and not only this
		return nil, fmt.Errorf("the old server: %s", said)
	}
	oldUser, oldSystem := old.Used()
	newUser, newSystem, err := proc.Split(m.server.PID)
	h.User = (oldUser - user + newUser).Seconds()
	h.Server = h.User + (oldSystem - system + newSystem).Seconds()
	m.session.ServedBy(m.server.PID)
	s, err2 := m.state(ctx)
	h.Connections, h.ServerRSS = s.Server.Engine.Connections, s.ServerRSS
	return h, errors.Join(err, err2)
}
