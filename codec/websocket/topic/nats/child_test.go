package nats

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/wsproto"
)

// childEnv says what this program does if it is not to run tests.
const childEnv = "MYRIAD_NATS_CHILD"

// role is what a child does: it is a server or a node.
type role struct {
	Server *serverRole
	Node   *nodeRole
}

type serverRole struct {
	Name, Dir         string
	Port, ClusterPort int
	Routes            []string
}

type nodeRole struct {
	URL, Name         string
	Topics, Count     int
	Rate              int // messages each second; 0: as fast as it takes them
	Replicas          int
	File              bool
	Keep              int
	Quiet             bool // writes only figures
	CheckMilliseconds int
}

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	var r role
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		panic(err)
	}
	go func() { // the child ends with its parent
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if r.Server != nil {
		r.Server.run()
	} else {
		r.Node.run()
	}
	select {}
}

// run runs a server of NATS until the process ends.
func (r *serverRole) run() {
	o := &server.Options{
		ServerName: r.Name, Host: "127.0.0.1", Port: r.Port, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: r.Dir,
	}
	if r.ClusterPort != 0 {
		o.Cluster = server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: r.ClusterPort}
		for _, route := range r.Routes {
			u, err := url.Parse(route)
			if err != nil {
				panic(err)
			}
			o.Routes = append(o.Routes, u)
		}
	}
	s, err := server.NewServer(o)
	if err != nil {
		panic(err)
	}
	if file := os.Getenv("MYRIAD_NATS_LOG"); file != "" {
		o.NoLog, o.Logtime, o.LogFile = false, true, file+"."+r.Name
		s.ConfigureLogger()
	}
	s.Start()
}

// run runs a node: it subscribes to all topics, publishes its messages, and writes what happens.
func (r *nodeRole) run() {
	w := bufio.NewWriterSize(os.Stdout, 1<<16)
	b := &Broker{
		URL: r.URL, Replicas: r.Replicas, File: r.File, KeepMessages: r.Keep,
		CheckInterval: time.Duration(r.CheckMilliseconds) * time.Millisecond,
		Logger:        slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	k := newRecorder(b)
	b.Failed = func(name string, n int, err error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		fmt.Fprintln(w, "F", name, n)
	}
	k.tell = func(e event) {
		fmt.Fprintln(w, string(e.kind), e.topic, e.at.Epoch, e.at.Seq, e.data)
	}
	if err := b.Start(k, func(string) topic.Options { return topic.Options{} }); err != nil {
		panic(err)
	}
	go func() {
		for {
			time.Sleep(5 * time.Millisecond)
			k.mu.Lock()
			_ = w.Flush()
			k.mu.Unlock()
		}
	}()
	for i := range r.Topics {
		if err := b.Subscribe(topicName(i)); err != nil {
			panic(err)
		}
	}
	until(fatal{}, "all subscriptions begin", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		return len(k.topics) == r.Topics
	})
	k.mu.Lock()
	fmt.Fprintln(w, "R")
	k.mu.Unlock()
	r.publish(b, k, w)
}

// publish publishes the node's messages.
func (r *nodeRole) publish(b *Broker, k *recorder, w io.Writer) {
	next := make([]int, r.Topics)
	start := time.Now()
	for i := range r.Count {
		if r.Rate > 0 {
			time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(r.Rate))))
		}
		n := rand.N(r.Topics)
		text := r.Name + " " + strconv.Itoa(next[n])
		next[n]++
		for {
			// The lock puts the line before those of its delivery, and of its failure.
			k.mu.Lock()
			err := b.Publish(topicName(n), wsproto.Text, []byte(text))
			if err == nil {
				fmt.Fprintln(w, "P", topicName(n), text)
			}
			k.mu.Unlock()
			if err == nil {
				break
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	for n, _ := b.queue.pending(); n > 0; n, _ = b.queue.pending() {
		time.Sleep(10 * time.Millisecond)
	}
	stats := b.Stats() // it takes locks under which the recorder is called
	k.mu.Lock()
	fmt.Fprintf(w, "D %+v\n", stats)
	k.mu.Unlock()
}

func topicName(i int) string { return "t" + strconv.Itoa(i) }

// fatal is a testing.TB outside of tests.
type fatal struct{ testing.TB }

func (fatal) Helper()          {}
func (fatal) Fatal(all ...any) { panic(fmt.Sprint(all...)) }

// child is a process that plays a role.
type child struct {
	cmd  *exec.Cmd
	in   io.Closer
	done chan struct{} // closed when its output has ended

	mu    sync.Mutex
	lines []string // that it has written
	ready bool     // R was one of them
	ended bool     // D was one of them
	death bool     // killed on purpose
}

// startChild starts this program anew in another role.
func startChild(t testing.TB, r role) *child {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(os.Args[0]), done: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GOMAXPROCS=2")
	if os.Getenv("MYRIAD_NATS_VERBOSE") != "" {
		c.cmd.Stderr = os.Stderr
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go c.read(out)
	t.Cleanup(c.kill)
	return c
}

// read takes the lines that the child writes; the last one only if it is whole.
func (c *child) read(out io.Reader) {
	defer close(c.done)
	r := bufio.NewReaderSize(out, 1<<16)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		c.mu.Lock()
		switch line[0] {
		case 'R':
			c.ready = true
		case 'D':
			c.ended = true
			c.lines = append(c.lines, line)
		default:
			c.lines = append(c.lines, line)
		}
		c.mu.Unlock()
	}
}

// is reads one of the flags.
func (c *child) is(flag *bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *flag
}

// written returns the lines so far.
func (c *child) written() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lines[:len(c.lines):len(c.lines)]
}

// kill is kill -9.
func (c *child) kill() {
	c.mu.Lock()
	c.death = true
	c.mu.Unlock()
	_ = c.cmd.Process.Kill() // it may have ended
	_ = c.in.Close()
	<-c.done
	_ = c.cmd.Wait()
}

// pause stops the child for a while, without its knowing.
func (c *child) pause(d time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGSTOP)
	time.Sleep(d)
	_ = c.cmd.Process.Signal(syscall.SIGCONT)
}

// freePorts returns ports that nobody listens on. They are below those that the kernel gives to
// clients: one of theirs may be taken before a server listens on it, or while it is down.
func freePorts(t testing.TB, n int) (ports []int) {
	t.Helper()
	for tries := 100 * n; len(ports) < n; tries-- {
		port := 10_000 + rand.IntN(22_000)
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port))
		if err == nil {
			defer l.Close()
			ports = append(ports, port)
		} else if tries == 0 {
			t.Fatal(err)
		}
	}
	return ports
}

// serverProcess starts a server in a process of its own.
func serverProcess(t testing.TB) (url string) {
	t.Helper()
	port := freePorts(t, 1)[0]
	startChild(t, role{Server: &serverRole{Name: "s", Dir: t.TempDir(), Port: port}})
	return fmt.Sprint("nats://127.0.0.1:", port)
}
