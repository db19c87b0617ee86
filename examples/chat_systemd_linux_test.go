package examples

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

// activated is the program that TestActivated executes, with descriptor 3 as systemd passes it.
const activated = "MYRIAD_TEST_ACTIVATED"

// TestActivated is not a test, but what systemd does between fork and exec: LISTEN_PID must be the
// number of the process, which nobody knows before.
func TestActivated(t *testing.T) {
	program := os.Getenv(activated)
	if program == "" {
		t.Skip("only a part of TestChatUnderSystemd")
	}
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	args := strings.Split(program, "\n")
	t.Fatal(syscall.Exec(args[0], args, os.Environ()))
}

// notified is a socket of systemd's, with what came last.
type notified struct {
	*net.UnixConn
	stored *os.File // by FDSTORE=1
}

func listenNotify(t *testing.T, name string) *notified {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	n := &notified{UnixConn: c}
	t.Cleanup(func() {
		if n.stored != nil {
			n.stored.Close()
		}
	})
	return n
}

// await waits for a line, and returns what follows prefix in it.
func (n *notified) await(t *testing.T, prefix string) string {
	t.Helper()
	n.SetReadDeadline(time.Now().Add(patience))
	for {
		b, oob := make([]byte, 4096), make([]byte, 4096)
		k, m, _, _, err := n.ReadMsgUnix(b, oob)
		if err != nil {
			t.Fatalf("%s does not come: %v", prefix, err)
		}
		if m > 0 {
			n.store(t, oob[:m])
		}
		for line := range strings.Lines(string(b[:k])) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), prefix); ok {
				return rest
			}
		}
	}
}

func (n *notified) store(t *testing.T, oob []byte) {
	t.Helper()
	all, err := syscall.ParseSocketControlMessage(oob)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d control messages, %v", len(all), err)
	}
	fds, err := syscall.ParseUnixRights(&all[0])
	if err != nil || len(fds) != 1 {
		t.Fatalf("descriptors %v, %v", fds, err)
	}
	if n.stored != nil {
		n.stored.Close()
	}
	syscall.CloseOnExec(fds[0])
	n.stored = os.NewFile(uintptr(fds[0]), "stored")
}

// TestChatUnderSystemd: the chat says when it serves and which process is the main one, and gives
// its socket to be kept. When all of its processes are dead, the one that gets this socket serves
// there, and who has connected in between was not refused.
func TestChatUnderSystemd(t *testing.T) {
	for _, kind := range []string{"path", "abstract"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "notify")
			if kind == "abstract" {
				name = "@" + name
			}
			n := listenNotify(t, name)
			path := filepath.Join(dir, "handover")
			flags := []string{"-addr", "127.0.0.1:0", "-handover", path}
			p := run(t, "chat", flags...)
			n.await(t, "READY=1")
			n.await(t, "FDSTORE=1")
			if n.stored == nil {
				t.Fatal("no descriptor came")
			}
			if got := listenerAddress(t, n.stored); got != p.address {
				t.Errorf("the socket is that of %s, want %s", got, p.address)
			}

			p.Process.Signal(syscall.SIGUSR2)
			pid, err := strconv.Atoi(n.await(t, "MAINPID="))
			if err != nil || pid == p.Process.Pid {
				t.Fatalf("MAINPID=%d, %v; the old one is %d", pid, err, p.Process.Pid)
			}
			t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
			if err := p.Wait(); err != nil {
				t.Errorf("the old process ends with %v", err)
			}
			ping(t, p.address)

			syscall.Kill(pid, syscall.SIGKILL)
			awaitEnd(t, pid)
			waiting := dialTCP(t, "tcp", p.address) // in the backlog
			waiting.Close()
			startActivated(t, n.stored, flags)
			n.await(t, "READY=1")
			ping(t, p.address)
		})
	}
}

func listenerAddress(t *testing.T, f *os.File) string {
	t.Helper()
	ln, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// ping asks the chat at an address for a pong.
func ping(t *testing.T, address string) {
	t.Helper()
	c, err := tryChat(t, address, "?secret=the+secret+of+Ada&name=Ada")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wsutil.WriteClientText(c, []byte(`{"type":"ping"}`))
	if b, err := wsutil.ReadServerText(c); err != nil || string(b) != `{"type":"pong"}` {
		t.Fatalf("%s, %v", b, err)
	}
}

// awaitEnd waits until a process that is not a child is gone.
func awaitEnd(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d does not end", pid)
		}
	}
}

// startActivated starts the chat as systemd does a service that has a socket.
func startActivated(t *testing.T, socket *os.File, flags []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestActivated$")
	program := append([]string{filepath.Join(folder, "chat")}, flags...)
	cmd.Env = append(os.Environ(), activated+"="+strings.Join(program, "\n"), "LISTEN_FDS=1",
		"LISTEN_FDNAMES=listener")
	cmd.ExtraFiles = []*os.File{socket}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		err := cmd.Wait()
		var exit *exec.ExitError
		if t.Failed() || err != nil && !errors.As(err, &exit) {
			t.Logf("the new process: %v\n%s", err, out.String())
		}
	})
}
