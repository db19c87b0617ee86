package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// The environment of a process of TestHandoverSurvivesKills.
const (
	killDir     = "MYRIAD_HANDOVER_DIR"     // where the unix sockets are
	killAddress = "MYRIAD_HANDOVER_ADDRESS" // what it listens on
)

// TestHandoverProcess is the program of such a process, and no test.
func TestHandoverProcess(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("run by TestHandoverSurvivesKills")
	}
	if err := handoverProcess(dir); err != nil {
		fmt.Println("end:", err)
	}
}

func handoverProcess(dir string) error {
	e, err := engine.New(engine.Config{Loops: 2, Logger: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	if err != nil {
		return err
	}
	h := &engine.Handover{Path: filepath.Join(dir, "handover"), Load: loadMover, Timeout: time.Second}
	found, err := h.Inherit(context.Background(), e)
	if err != nil {
		return err
	}
	fmt.Println("inherited", found)
	for network, address := range map[string]string{"tcp": os.Getenv(killAddress), "unix": filepath.Join(dir, "echo")} {
		if _, err := e.Listen(network, address, newMover); err != nil {
			return err
		}
	}
	go func() {
		<-e.Started()
		fmt.Println("offer:", h.Offer(context.Background(), e))
	}()
	go func() {
		for <-e.Started(); ; time.Sleep(time.Millisecond) {
			if s := e.Handover(); !found || s.Stage == engine.HandoverDone || s.Stage == engine.HandoverFailed {
				fmt.Println("serving", s.Moved, "connections, moved in", s.Took)
				return
			}
		}
	}()
	return e.Run(context.Background())
}

// process is one of the processes that hand over to one another.
type process struct {
	cmd   *exec.Cmd
	lines chan string // what it prints; closed when it has ended
	mu    sync.Mutex
	said  strings.Builder

	halfway int // handovers broken halfway
}

func startProcess(t *testing.T, dir, address string) *process {
	t.Helper()
	p := &process{lines: make(chan string, 1000)}
	p.cmd = exec.Command(os.Args[0], "-test.run=^TestHandoverProcess$", "-test.v=false")
	p.cmd.Env = append(os.Environ(), killDir+"="+dir, killAddress+"="+address)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.said, s.Text())
			p.mu.Unlock()
			p.lines <- s.Text()
		}
		p.cmd.Wait()
		close(p.lines)
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

// await waits until the process prints a line that begins with word. It reports whether it did so
// before it ended.
func (p *process) await(t *testing.T, word string) bool {
	t.Helper()
	for timeout := time.After(patience); ; {
		select {
		case line, ok := <-p.lines:
			if !ok || strings.HasPrefix(line, word) {
				return ok
			}
		case <-timeout:
			t.Fatalf("process %d does not say %q:\n%s", p.cmd.Process.Pid, word, p.output())
		}
	}
}

// kill ends the process at once, and returns when it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.end()
}

// end waits until the process is gone.
func (p *process) end() {
	for range p.lines {
	}
}

// descriptors counts the process's descriptors by what they are.
func (p *process) descriptors() map[string]int {
	folder := "/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/fd/"
	kinds := make(map[string]int)
	all, _ := os.ReadDir(folder)
	for _, d := range all {
		to, _ := os.Readlink(folder + d.Name())
		kind, _, _ := strings.Cut(to, ":")
		kinds[kind]++
	}
	return kinds
}

// chatter is a client that sends all the time, and checks what comes back.
type chatter struct {
	nc   net.Conn
	pos  uint64
	stop chan bool
	over chan error // nil: it was stopped
}

func startChatter(nc net.Conn) *chatter {
	k := &chatter{nc: nc, stop: make(chan bool), over: make(chan error, 1)}
	go func() { k.over <- k.run(k.stop) }()
	return k
}

// run asks again and again until stop is closed, and then once more. An answer may take as long as
// the old process takes to find that the new one is dead, and no longer.
func (k *chatter) run(stop chan bool) error {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return k.ask(n)
		default:
		}
		if err := k.ask(n); err != nil {
			return err
		}
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond) // for others
	}
}

// ask sends something in two parts, and checks the answer.
func (k *chatter) ask(n int) error {
	b, in := make([]byte, moverUnit*(1+n%40)), make([]byte, moverUnit*(1+n%40))
	for i := range b {
		b[i] = byte(i)
	}
	k.nc.SetDeadline(time.Now().Add(patience))
	for _, part := range [][]byte{b[:len(b)/2], b[len(b)/2:]} {
		if _, err := k.nc.Write(part); err != nil {
			return err
		}
	}
	if _, err := io.ReadFull(k.nc, in); err != nil {
		return err
	}
	for i := range b {
		if want := changed(b[i], k.pos); in[i] != want {
			return fmt.Errorf("%w: byte %d is %d, want %d", errWrong, k.pos, in[i], want)
		}
		k.pos++
	}
	return nil
}

var errWrong = errors.New("wrong answer")

// TestHandoverSurvivesKills: kill -9 of the old or the new process at any moment. Each connection
// goes on where it was, or ends; none hangs, and none gets a wrong byte. Whoever has listened goes
// on listening if the new process is killed, and a process that lives has no descriptor too many.
func TestHandoverSurvivesKills(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 6
	}
	if n, err := strconv.Atoi(os.Getenv("MYRIAD_KILLS")); err == nil {
		kills = n
	}
	dir := t.TempDir()
	k := &killing{t: t, dir: dir, address: "127.0.0.1:" + unusedPort(t, "127.0.0.1:0")}
	k.begin()
	for i := range kills {
		k.round(i)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d rounds: the old process killed %d times, the new one %d times; %d connections went on, %d ended, "+
		"%d handovers were complete, %d broken halfway", kills, k.olds, k.news, k.wentOn, k.ended, k.complete, k.broken)
}

// killing is the state of TestHandoverSurvivesKills.
type killing struct {
	t            *testing.T
	dir, address string
	now          *process
	chatters     []*chatter

	olds, news, wentOn, ended, complete, broken int
}

const killClients = 200

// begin starts a process that takes over from nobody.
func (k *killing) begin() {
	k.now = startProcess(k.t, k.dir, k.address)
	if !k.now.await(k.t, "serving") {
		k.t.Fatalf("the process does not serve:\n%s", k.now.output())
	}
	k.fill()
}

// fill connects as many clients as are missing.
func (k *killing) fill() {
	for len(k.chatters) < killClients {
		network, address := "tcp", k.address
		if len(k.chatters)%4 == 0 {
			network, address = "unix", filepath.Join(k.dir, "echo")
		}
		nc, err := net.Dial(network, address)
		if err != nil {
			k.t.Fatalf("%v; the process has said:\n%s", err, k.now.output())
		}
		k.t.Cleanup(func() { nc.Close() })
		k.chatters = append(k.chatters, startChatter(nc))
	}
}

// round is one kill.
func (k *killing) round(i int) {
	victimIsOld := i%2 == 0
	stop, refused := k.probe()
	before := k.ended
	old, next := k.now, startProcess(k.t, k.dir, k.address)
	switch i % 3 { // all over the start of the new process, and more often in the handover
	case 1:
		next.await(k.t, "inherited")
	case 2:
		next.await(k.t, "inherited")
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
	default:
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
	}
	time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
	victim, other := next, old
	if victimIsOld {
		victim, other = old, next
		k.olds++
	} else {
		k.news++
	}
	victim.kill()
	isAlive := other.isServing(k.t, k.address, victim == next)
	halfway := strings.Count(other.output(), "broken halfway")
	k.broken += halfway - other.halfway
	other.halfway = halfway
	close(stop)
	if n := <-refused; n > 0 && isAlive && (!victimIsOld || i%3 != 0) {
		k.t.Errorf("round %d: %d connections were refused although a process listened\n%s", i, n, other.output())
	}
	switch {
	case isAlive:
	case !victimIsOld:
		k.complete++
	case strings.Contains(next.output(), "inherited true"):
		k.t.Fatalf("round %d: the new process has ended, which had the listeners:\n%s", i, next.output())
	}
	k.settle(isAlive)
	if n := k.ended - before; n > 0 && !victimIsOld && !strings.Contains(next.output(), "inherited true") {
		k.t.Errorf("round %d: %d connections have ended because of a process that was not ready", i, n)
	}
	if !isAlive { // it had handed over, or had not got the listeners yet
		other.end()
		k.begin()
		return
	}
	k.now = other
	k.fill()
	k.check()
}

// probe connects again and again until stop is closed, and then tells how often that was refused.
func (k *killing) probe() (stop chan bool, refused chan int) {
	stop, refused = make(chan bool), make(chan int, 1)
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				refused <- n
				return
			default:
			}
			nc, err := net.Dial("tcp", k.address)
			if err == nil {
				nc.Close()
			} else if errors.Is(err, syscall.ECONNREFUSED) {
				n++
			}
			time.Sleep(200 * time.Microsecond) // the processes need the processors
		}
	}()
	return stop, refused
}

// isServing waits until the survivor serves, or has ended.
func (p *process) isServing(t *testing.T, address string, isOld bool) bool {
	t.Helper()
	if !isOld {
		return p.await(t, "serving")
	}
	// The old one accepts again unless it has handed over: then it ends by itself.
	for ended := p.ended(); ; {
		if nc, err := net.Dial("tcp", address); err == nil {
			err = (&chatter{nc: nc}).ask(0)
			nc.Close()
			if err == nil {
				return true
			}
		}
		select {
		case <-ended:
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

// ended returns a channel that is closed when the process has ended.
func (p *process) ended() <-chan bool {
	c := make(chan bool)
	go func() {
		for ; ; time.Sleep(time.Millisecond) {
			if err := p.cmd.Process.Signal(syscall.Signal(0)); err != nil {
				close(c)
				return
			}
		}
	}()
	return c
}

// settle asks every client: it has an answer, or its connection has ended.
func (k *killing) settle(isAlive bool) {
	var left []*chatter
	for _, c := range k.chatters {
		close(c.stop)
	}
	for _, c := range k.chatters {
		err := <-c.over
		if err != nil || !isAlive {
			c.nc.Close()
		}
		if err != nil {
			k.note(err)
			continue
		}
		if !isAlive {
			k.t.Errorf("somebody has answered, and no process is alive:\n%s", k.now.output())
			continue
		}
		k.wentOn++
		left = append(left, c)
	}
	for _, c := range left {
		c.stop = make(chan bool)
		go func(stop chan bool) { c.over <- c.run(stop) }(c.stop)
	}
	k.chatters = left
}

// note counts a connection that has ended.
func (k *killing) note(err error) {
	k.ended++
	var timeout net.Error
	if errors.Is(err, errWrong) || errors.As(err, &timeout) && timeout.Timeout() {
		k.t.Errorf("a connection: %v\n%s", err, k.now.output())
	}
}

// ownSockets are the sockets of a process besides its connections: two listeners, and two
// descriptors of the one at Handover.Path.
const ownSockets = 4

// check compares the sockets of the process with what it should have.
func (k *killing) check() {
	k.t.Helper()
	want, kinds := len(k.chatters)+ownSockets, map[string]int(nil)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if kinds = k.now.descriptors(); kinds["socket"] == want {
			return
		}
	}
	k.now.cmd.Process.Signal(syscall.SIGQUIT) // it tells what it does
	k.now.end()
	k.t.Errorf("%d sockets, want %d: %v\n%s", kinds["socket"], want, kinds, k.now.output())
}
