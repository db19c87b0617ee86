package nats

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// TestFaults runs servers and nodes as processes, does to them what happens to processes, and
// checks that nothing was lost without being told. MYRIAD_NATS_RUNS is the number of runs, and
// MYRIAD_NATS_SEED that of the first one.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	first := setting("MYRIAD_NATS_SEED", 0)
	for i := range setting("MYRIAD_NATS_RUNS", 3) {
		t.Run(fmt.Sprint("seed", first+i), func(t *testing.T) {
			t.Parallel()
			newWorld(t, uint64(first+i), small).run()
		})
	}
}

// small is what each node does in a run.
var small = nodeRole{Topics: 20, Count: 3000, Rate: 1200, Keep: 100_000, CheckMilliseconds: 1000}

// setting returns that of an environment variable.
func setting(name string, or int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return or
}

// TestManyMessages is TestFaults with as many messages as MYRIAD_NATS_MESSAGES says, on 1,000
// topics, as fast as they are taken.
func TestManyMessages(t *testing.T) {
	count := setting("MYRIAD_NATS_MESSAGES", 10_000)
	if testing.Short() {
		t.Skip("it takes several seconds")
	}
	start := time.Now()
	node := nodeRole{Topics: 1000, Count: count / 2, Keep: 100_000, CheckMilliseconds: 1000}
	w := newWorld(t, uint64(setting("MYRIAD_NATS_SEED", 0)), node)
	began := time.Now()
	w.run()
	t.Logf("%d messages, %v to start, %v to publish and check", count, began.Sub(start), time.Since(began))
}

// world is the servers and nodes of a run.
type world struct {
	t       *testing.T
	rand    *rand.Rand
	roles   []serverRole
	servers []*child
	node    nodeRole
	nodes   [2]*child
	names   [2]string
	started int
	lives   []*life
	mu      sync.Mutex
	log     []string
}

// newWorld starts what a run needs.
func newWorld(t *testing.T, seed uint64, node nodeRole) *world {
	w := &world{t: t, rand: rand.New(rand.NewPCG(seed, 1))}
	kind := seed % 5 // in turn, so that each one is part of a few runs
	count := 1
	if kind >= 2 {
		count = 3
	}
	w.node = node
	w.node.File = kind == 0 || kind == 3
	if kind == 2 || kind == 3 {
		w.node.Replicas = 3
	}
	w.note("%d servers, %d replicas, files: %v", count, max(w.node.Replicas, 1), w.node.File)
	ports := freePorts(t, 2*count)
	var urls, routes []string
	for i := range count {
		urls = append(urls, fmt.Sprint("nats://127.0.0.1:", ports[i]))
		routes = append(routes, fmt.Sprint("nats://127.0.0.1:", ports[count+i]))
	}
	w.node.URL = strings.Join(urls, ",")
	for i := range count {
		r := serverRole{Name: fmt.Sprint("s", i), Dir: t.TempDir(), Port: ports[i]}
		if count > 1 {
			r.ClusterPort, r.Routes = ports[count+i], routes
		}
		w.roles = append(w.roles, r)
		w.servers = append(w.servers, startChild(t, role{Server: &r}))
	}
	for i := range w.nodes {
		w.startNode(i)
	}
	for _, n := range w.nodes {
		until(t, "the nodes are ready", func() bool { return n.is(&n.ready) })
	}
	return w
}

// note notes what happens, for the log of a run that fails.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// startNode starts a node, perhaps in the place of one that was killed.
func (w *world) startNode(i int) {
	r := w.node
	r.Name = fmt.Sprint("n", w.started)
	w.names[i] = r.Name
	w.started++
	w.nodes[i] = startChild(w.t, role{Node: &r})
}

// run does a few random things while the nodes publish, and checks the outcome.
func (w *world) run() {
	w.t.Helper()
	for range 1 + w.rand.IntN(3) {
		time.Sleep(time.Duration(w.rand.IntN(800)) * time.Millisecond)
		w.fault()
	}
	for i := range w.nodes {
		n := w.nodes[i]
		w.untilEnded(n)
	}
	stored := w.stored()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c := checker{lives: w.lives[:len(w.lives):len(w.lives)]}
		for i, n := range w.nodes {
			l := readLife(w.t, w.names[i], n.written())
			l.whole = i == w.started-1 || w.started == len(w.nodes) || w.names[i] == fmt.Sprint("n", i)
			c.lives = append(c.lives, l)
		}
		c.check(stored)
		if len(c.bad) == 0 {
			w.report(&c)
			for _, n := range w.nodes {
				lines := n.written()
				for _, line := range lines {
					if line[0] == 'D' {
						w.t.Log(line)
					}
				}
			}
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s\n%s", strings.Join(c.bad[:min(20, len(c.bad))], "\n"), strings.Join(w.log, "\n"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// report logs the figures of a run.
func (w *world) report(c *checker) {
	messages, gaps, failures := 0, 0, 0
	for _, l := range c.lives {
		messages += l.messages
		gaps += l.gaps
		failures += l.failures
	}
	w.t.Logf("%s: %d delivered, %d gaps, %d failures", strings.Join(w.log, ", "), messages, gaps, failures)
}

// fault does something to a server or a node.
func (w *world) fault() {
	server, node := w.rand.IntN(len(w.servers)), w.rand.IntN(len(w.nodes))
	pause := time.Duration(w.rand.IntN(3000)) * time.Millisecond
	if w.rand.IntN(3) > 0 {
		pause /= 10
	}
	switch w.rand.IntN(4) {
	case 0, 1:
		w.note("kill server %d for %v", server, pause)
		w.servers[server].kill()
		time.Sleep(pause)
		w.servers[server] = startChild(w.t, role{Server: &w.roles[server]})
		if len(w.servers) > 1 {
			time.Sleep(2 * time.Second) // one of three at a time
		}
	case 2:
		w.note("kill node %d", node)
		w.killNode(node)
		time.Sleep(pause)
		w.startNode(node)
	default:
		pause *= 2
		if w.rand.IntN(2) == 0 {
			w.note("stop server %d for %v", server, pause)
			w.servers[server].pause(pause)
		} else {
			w.note("stop node %d for %v", node, pause)
			w.nodes[node].pause(pause)
		}
	}
}

// killNode kills a node and keeps what it has written.
func (w *world) killNode(i int) {
	n := w.nodes[i]
	n.kill()
	l := readLife(w.t, w.names[i], n.written())
	l.killed = true
	w.lives = append(w.lives, l)
}

// stored returns what the stream has in the end.
func (w *world) stored() map[string][]topic.Message {
	b := &Broker{
		URL: w.node.URL, Replicas: w.node.Replicas, File: w.node.File, KeepMessages: w.node.Keep,
		Logger: slog.New(slog.DiscardHandler),
	}
	startBroker(w.t, b, newRecorder(b))
	ready(w.t, b)
	all := map[string][]topic.Message{}
	for i := range w.node.Topics {
		msgs, _, err := history(b, topicName(i), topic.Position{}, 1<<20)
		if err != nil {
			w.t.Fatal(err)
		}
		all[topicName(i)] = msgs
	}
	return all
}

// untilEnded waits until a node has published everything, as long as servers need to find a leader.
func (w *world) untilEnded(n *child) {
	w.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !n.is(&n.ended); {
		if time.Now().After(deadline) {
			_ = n.cmd.Process.Signal(syscall.SIGQUIT) // it dumps its goroutines
			<-n.done
			w.t.Fatalf("timeout: a node has not published everything\n%s", strings.Join(w.log, "\n"))
		}
		time.Sleep(10 * time.Millisecond)
	}
}
