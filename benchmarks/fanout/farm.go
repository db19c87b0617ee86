//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// farm is a server in a process of its own, and the socket by which it is controlled.
type farm struct {
	config serverConfig
	server *proc.Server
	dir    string
	conn   net.Conn
	from   *json.Decoder
	to     *json.Encoder
}

// start starts a server on processor 0.
func start(c serverConfig) (*farm, error) {
	dir, err := os.MkdirTemp("", "fanout")
	if err != nil {
		return nil, err
	}
	f := &farm{config: c, dir: dir}
	control := filepath.Join(dir, "control")
	f.server, err = proc.Start(proc.StartConfig{
		Command: []string{os.Args[0], "-serve", c.name, "-addr", "{addr}", "-control", control,
			fmt.Sprintf("-conflate=%t", c.conflate), fmt.Sprintf("-small=%t", c.small)},
		CPUs: []int{0},
	})
	if err == nil {
		f.conn, err = net.Dial("unix", control)
	}
	if err != nil {
		f.stop()
		return nil, err
	}
	f.from, f.to = json.NewDecoder(f.conn), json.NewEncoder(f.conn)
	return f, nil
}

func (f *farm) stop() {
	if f.conn != nil {
		f.conn.Close()
	}
	if f.server != nil {
		f.server.Stop()
	}
	os.RemoveAll(f.dir)
}

// ask has the server do something, and waits until it has.
func (f *farm) ask(cmd command) (a answer, err error) {
	if err = f.to.Encode(cmd); err == nil {
		err = f.from.Decode(&a)
	}
	if err != nil {
		return a, fmt.Errorf("%s: %w%s", f.config.name, err, f.server.Output())
	}
	if a.Error != "" {
		err = errors.New(f.config.name + ": " + a.Error)
	}
	return a, err
}

// idle waits until the server has nothing to do.
func (f *farm) idle() error {
	const step, enough = 2 * time.Millisecond, 100 * time.Microsecond
	for last := time.Duration(0); ; time.Sleep(step) {
		used, err := proc.CPUTime(f.server.PID)
		if err != nil || used-last < enough {
			return err
		}
		last = used
	}
}
