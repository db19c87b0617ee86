//go:build linux

package proc

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Server is a process that serves. Its methods may be called by any goroutine.
type Server struct {
	PID  int
	Addr string

	cmd    *exec.Cmd
	output Tail
	exited chan struct{}
	err    error // of Wait, when exited is closed
}

// StartConfig is how Start starts a server.
type StartConfig struct {
	// Command is the command and its arguments. In each, {port} stands for Addr's port and {addr}
	// for Addr.
	Command []string
	// Addr is the host:port that the server will listen on. Default: a free port of 127.0.0.1.
	Addr string
	// CPUs are the processors that the server may run on. GOMAXPROCS is set to their number.
	// Default: all, and GOMAXPROCS is not set.
	CPUs []int
	// Env is added to this process's environment.
	Env []string
	// Timeout is how long it may take until the server listens. Default: 10 s.
	Timeout time.Duration
}

// Start starts a server and waits until it listens. The server ends with this process at the
// latest. If Start fails, the error includes what the server printed last.
func Start(c StartConfig) (*Server, error) {
	if len(c.Command) == 0 {
		return nil, errors.New("proc: no command to start the server")
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Addr == "" {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		c.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return nil, fmt.Errorf("proc: %w", err)
	}
	args := make([]string, len(c.Command))
	for i, a := range c.Command {
		args[i] = strings.NewReplacer("{port}", port, "{addr}", c.Addr).Replace(a)
	}
	s := &Server{Addr: c.Addr, cmd: exec.Command(args[0], args[1:]...), exited: make(chan struct{})}
	s.cmd.Env = os.Environ()
	if len(c.CPUs) > 0 {
		s.cmd.Env = append(s.cmd.Env, fmt.Sprintf("GOMAXPROCS=%d", len(c.CPUs)))
	}
	s.cmd.Env = append(s.cmd.Env, c.Env...)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.WaitDelay = time.Second
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := startOn(s.cmd, c.CPUs); err != nil {
		return nil, err
	}
	s.PID = s.cmd.Process.Pid
	go func() {
		s.err = s.cmd.Wait()
		close(s.exited)
	}()
	if err := s.listens(c.Timeout); err != nil {
		s.Stop()
		return nil, fmt.Errorf("proc: %s: %w%s", strings.Join(args, " "), err, s.output.String())
	}
	return s, nil
}

// startOn starts a process. It inherits its processors from the thread that starts it.
func startOn(cmd *exec.Cmd, cpus []int) error {
	if len(cpus) > 0 {
		set, err := setOf(cpus)
		if err != nil {
			return err
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var before unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return fmt.Errorf("proc: sched_getaffinity: %w", err)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			return fmt.Errorf("proc: binding to processors %v: %w", cpus, err)
		}
		defer unix.SchedSetaffinity(0, &before)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("proc: %w", err)
	}
	return nil
}

// listens waits until the server's port takes a connection.
func (s *Server) listens(timeout time.Duration) error {
	late := time.After(timeout)
	for {
		nc, err := net.DialTimeout("tcp", s.Addr, timeout)
		if err == nil {
			nc.Close()
		}
		select {
		case <-s.exited: // if something answered, it was another process
			return fmt.Errorf("it ended before it listened on %s: %v", s.Addr, s.err)
		default:
		}
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
		case <-time.After(5 * time.Millisecond):
		case <-late:
			return fmt.Errorf("it does not listen on %s after %v", s.Addr, timeout)
		}
	}
}

// Stop ends the server by SIGTERM, or by SIGKILL after two seconds. It returns when the server has
// ended.
func (s *Server) Stop() {
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(2 * time.Second):
		s.cmd.Process.Kill()
		<-s.exited
	}
}

// Exited returns a channel that is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Used returns the CPU time that the process has used in user mode and in the kernel. It may be
// called when Exited is closed.
func (s *Server) Used() (user, system time.Duration) {
	return s.cmd.ProcessState.UserTime(), s.cmd.ProcessState.SystemTime()
}

// Output returns the end of what the server printed on standard output and standard error.
func (s *Server) Output() string { return s.output.String() }

// FreePort returns a port of 127.0.0.1 that is free now. It is below those that the kernel gives to
// clients: one of theirs may be taken before a server listens on it.
func FreePort() (port int, err error) {
	for range 100 {
		port = 10_000 + rand.IntN(22_000)
		var ln net.Listener
		if ln, err = net.Listen("tcp4", fmt.Sprint("127.0.0.1:", port)); err == nil {
			return port, ln.Close()
		}
	}
	return 0, fmt.Errorf("proc: %w", err)
}
