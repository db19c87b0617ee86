package engine_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/epoll"
)

// bornWith has the descriptors that the test process was born with. Which were open when a test
// began would not tell what it opened: those of an earlier test may be closed meanwhile, and their
// numbers come back.
var bornWith, _ = openDescriptors()

// TestDescriptorsAreCloseOnExec: a child process inherits nothing of all that an engine opens.
func TestDescriptorsAreCloseOnExec(t *testing.T) {
	s := serve(t, engine.Config{Loops: 2}, echoes)
	ask(t, s.dial(t), "accepted")
	dialled := make(chan error, 1)
	s.Dial(context.Background(), "tcp", s.ln.String(), engine.DialConfig{},
		func(c *engine.Conn, err error) engine.Protocol {
			dialled <- err
			return echoOn(c)
		})
	if err := receive(t, "dialled connection", dialled); err != nil {
		t.Fatal(err)
	}
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (engine.ListenConfig{}).Serve(s.Engine, unix, echoes); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListenPacket("udp", "127.0.0.1:0", echoPackets); err != nil {
		t.Fatal(err)
	}
	stats(t, s.Engine)
	all, err := openDescriptors()
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for fd := range all {
		if bornWith[fd] {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno != 0 { // the descriptor of the directory listing itself
			continue
		}
		opened++
		if flags&syscall.FD_CLOEXEC == 0 {
			name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			t.Errorf("descriptor %d (%s) would be inherited", fd, name)
		}
	}
	if opened < 12 { // 2 epolls, 2 eventfds, 3 listeners, 2 pairs of connections, a spare
		t.Errorf("only %d descriptors were looked at", opened)
	}
}

func openDescriptors() (map[int]bool, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	all := make(map[int]bool)
	for _, e := range entries {
		fd, _ := strconv.Atoi(e.Name())
		all[fd] = true
	}
	return all, nil
}

// TestDatagramsCostNoExtraSystemCalls: 64 datagrams that have arrived together are taken by one
// recvmmsg and answered by one sendmmsg, and nothing else is asked of the kernel.
func TestDatagramsCostNoExtraSystemCalls(t *testing.T) {
	counted := &countingBackend{}
	e, err := engine.NewOn(counted, engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	pl, err := e.ListenPacket("udp", "127.0.0.1:0", echoPackets)
	if err != nil {
		t.Fatal(err)
	}
	c := dialPackets(t, "udp", pl.String())
	e.Step()
	counted.calls = nil
	for range 64 {
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	e.Step()
	if got, want := strings.Join(counted.calls, " "), "Poll Receive Send"; got != want {
		t.Errorf("calls of the driver: %q, want %q", got, want)
	}
	for range 64 {
		if _, err := c.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
	}
	e.BeginShutdown()
	for e.Step() {
	}
}

// countingBackend is epoll with a list of what was asked of it.
type countingBackend struct {
	epoll.Backend
	calls []string
}

func (b *countingBackend) Open() (driver.Poller, driver.Sockets, error) {
	p, s, err := b.Backend.Open()
	return &countingPoller{p, b}, &countingSockets{s, b}, err
}

func (b *countingBackend) note(call string) { b.calls = append(b.calls, call) }

type countingPoller struct {
	driver.Poller
	b *countingBackend
}

func (p *countingPoller) Poll(timeout time.Duration, s driver.Sink) (int, error) {
	p.b.note("Poll")
	return p.Poller.Poll(timeout, s)
}
func (p *countingPoller) SetInterest(fd int, t driver.Token, from, to driver.Interest) error {
	p.b.note("SetInterest")
	return p.Poller.SetInterest(fd, t, from, to)
}

type countingSockets struct {
	driver.Sockets
	b *countingBackend
}

func (s *countingSockets) Receive(fd int) ([]driver.Datagram, error) {
	s.b.note("Receive")
	return s.Sockets.Receive(fd)
}
func (s *countingSockets) Send(fd int, inet6 bool, batch []driver.Datagram) (int, error) {
	s.b.note("Send")
	return s.Sockets.Send(fd, inet6, batch)
}
func (s *countingSockets) Local(fd int) netip.AddrPort {
	s.b.note("Local")
	return s.Sockets.Local(fd)
}
func (s *countingSockets) SetOption(fd int, o driver.Option, v int) error {
	s.b.note("SetOption")
	return s.Sockets.SetOption(fd, o, v)
}
