//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

// farm starts the servers that follow one another.
type farm struct {
	config serverConfig
	dir    string
}

func newFarm(c serverConfig) (f *farm, err error) {
	f = &farm{config: c}
	if f.dir, err = os.MkdirTemp("", "handover"); err != nil {
		return nil, err
	}
	f.config.path = filepath.Join(f.dir, "handover")
	if f.config.certificate, err = servers.Certificate(f.dir); err != nil {
		return nil, err
	}
	for _, address := range []*string{&f.config.plain, &f.config.secure} {
		port, err := proc.FreePort()
		if err != nil {
			return nil, err
		}
		*address = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return f, nil
}

func (f *farm) remove() { os.RemoveAll(f.dir) }

// process is a server.
type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	notes chan note // closed when it has ended
	said  proc.Tail // on standard error

	exited chan struct{} // closed before notes
	mu     sync.Mutex
	told   map[string]bool
}

// has reports whether the process has told this: of noteInherited, that there was something.
func (p *process) has(what string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.told[what]
}

// start starts a server, which takes over from the one before if there is one.
func (f *farm) start() (*process, error) {
	c := f.config
	p := &process{notes: make(chan note, 100), exited: make(chan struct{}), told: make(map[string]bool)}
	p.cmd = exec.Command(os.Args[0], "-serve", c.path, "-plain", c.plain,
		"-secure", c.secure, "-certificate", c.certificate, fmt.Sprintf("-window=%d", c.window),
		fmt.Sprintf("-loops=%d", c.loops), "-profile="+c.profile)
	p.cmd.Stderr = &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := p.cmd.StdoutPipe()
	if err == nil {
		p.in, err = p.cmd.StdinPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	go func() {
		for notes := json.NewDecoder(out); ; {
			var n note
			if notes.Decode(&n) != nil {
				break
			}
			p.mu.Lock()
			p.told[n.What] = n.What != noteInherited || n.Found
			p.mu.Unlock()
			p.notes <- n
		}
		p.cmd.Wait()
		close(p.exited)
		close(p.notes)
	}()
	return p, nil
}

// await waits for a note. ok is false if the process ends before.
func (p *process) await(what string) (n note, ok bool, err error) {
	for late := time.After(2 * patience); ; {
		select {
		case n, ok = <-p.notes:
			if !ok || n.What == what {
				return n, ok, nil
			}
			if n.What == noteEnd {
				p.said.Write([]byte("end: " + n.Error))
			}
		case <-late:
			return n, false, fmt.Errorf("process %d does not tell %q: it hangs%s", p.cmd.Process.Pid, what,
				&p.said)
		}
	}
}

// must is await, where it is an error if the process ends before.
func (p *process) must(what string) (note, error) {
	n, ok, err := p.await(what)
	if err == nil && !ok {
		err = fmt.Errorf("a server has ended before it told %q%s", what, &p.said)
	}
	return n, err
}

// ask has the server do something, and returns its figures.
func (p *process) ask(what string) (note, error) {
	fmt.Fprintln(p.in, what)
	return p.must(noteFigures)
}

// kill ends the process at once, and returns when it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.gone()
}

// gone waits until the process is gone.
func (p *process) gone() {
	for range p.notes {
	}
	p.in.Close()
}

// prober connects again and again.
type prober struct {
	stop            chan bool
	done            sync.WaitGroup
	dials, refusals int
	refusal         error // the last
	longest         time.Duration
	plain, secure   string
	pause           time.Duration
}

func (f *farm) probe(pause time.Duration) *prober {
	p := &prober{stop: make(chan bool), plain: f.config.plain, secure: f.config.secure, pause: pause}
	p.done.Go(p.run)
	return p
}

func (p *prober) run() {
	for {
		for _, address := range []string{p.plain, p.secure} {
			begin := time.Now()
			nc, err := net.DialTimeout("tcp", address, patience)
			p.longest = max(p.longest, time.Since(begin))
			p.dials++
			if err != nil {
				p.refusals++
				p.refusal = err
			} else {
				nc.Close()
			}
		}
		select {
		case <-p.stop:
			return
		case <-time.After(p.pause):
		}
	}
}

// end stops it, and returns how many connections were refused.
func (p *prober) end() int {
	close(p.stop)
	p.done.Wait()
	return p.refusals
}
