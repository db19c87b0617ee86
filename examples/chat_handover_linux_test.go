package examples

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"
)

const chatters = 50

// crowd is clients of a chat, of which each says something when it has heard itself.
type crowd struct {
	t     *testing.T
	said  [chatters]atomic.Int64 // messages, by client
	heard [chatters]atomic.Int64 // by client, of all
	conns []net.Conn
	all   sync.WaitGroup
}

// event is what a client gets.
type chatEvent struct {
	Type   string
	Pos    string
	Text   string
	Code   int
	Joined []struct{ ID string }
	Left   []string
}

func (w *crowd) enter(address string, topic string) {
	for i := range chatters {
		c, err := tryChat(w.t, address, fmt.Sprintf("?secret=the+secret+of+number+%d&name=N%d", i, i))
		if err != nil {
			w.t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(3 * patience))
		wsutil.WriteClientText(c, []byte(`{"type":"subscribe","topic":"`+topic+`"}`))
		for { // the list of members is the last answer
			b, err := wsutil.ReadServerText(c)
			if err != nil {
				w.t.Fatal(err)
			}
			if bytes.Contains(b, []byte(`"type":"members"`)) {
				break
			}
		}
		w.conns = append(w.conns, c)
	}
}

// talk makes all say messages until ctx ends, and then listen until they have heard all.
func (w *crowd) talk(ctx context.Context) {
	for i, c := range w.conns {
		w.all.Go(func() {
			if err := w.chat(ctx, i, c); err != nil {
				w.t.Errorf("client %d: %v", i, err)
			}
		})
	}
}

// chat checks that each message comes once, and those of each client in order.
func (w *crowd) chat(ctx context.Context, me int, c net.Conn) error {
	var next [chatters]int64
	var seq uint64
	say := func() {
		n := w.said[me].Add(1) - 1
		m, _ := json.Marshal(map[string]string{"key": "k", "text": fmt.Sprint(n)})
		b, _ := json.Marshal(map[string]any{"type": "publish", "topic": "lobby", "text": string(m)})
		wsutil.WriteClientText(c, b)
	}
	say()
	for ctx.Err() == nil || !w.isDone(&next) {
		b, err := wsutil.ReadServerText(c)
		if err != nil {
			return err
		}
		var e chatEvent
		if err := json.Unmarshal(b, &e); err != nil {
			return err
		}
		switch e.Type {
		case "message":
		case "members":
			continue
		case "presence":
			if len(e.Left) > 0 {
				return fmt.Errorf("%s", b)
			}
			continue
		default:
			return fmt.Errorf("%s", b)
		}
		var m struct{ Text, Name string }
		var from, n int64
		json.Unmarshal([]byte(e.Text), &m)
		fmt.Sscanf(m.Name, "N%d", &from)
		fmt.Sscan(m.Text, &n)
		var epoch, at uint64
		fmt.Sscanf(e.Pos, "%d-%d", &epoch, &at)
		if n != next[from] || at <= seq {
			return fmt.Errorf("message %d of client %d at %s, want %d, after %d", n, from, e.Pos, next[from], seq)
		}
		next[from], seq = n+1, at
		w.heard[me].Add(1)
		if from == int64(me) && ctx.Err() == nil {
			time.AfterFunc(100*time.Millisecond, say) // within the Rate
		}
	}
	return nil
}

// isDone reports whether one who has heard up to next has heard everything.
func (w *crowd) isDone(next *[chatters]int64) bool {
	for i := range next {
		if next[i] != w.said[i].Load() {
			return false
		}
	}
	return true
}

// TestChatIsHandedOver: three processes take over from one another while 50 clients talk. All hear
// every message once and in order, nobody leaves, and each old process ends by itself.
func TestChatIsHandedOver(t *testing.T) {
	flags := []string{"-addr", "127.0.0.1:0", "-handover", filepath.Join(t.TempDir(), "handover")}
	p := run(t, "chat", flags...)
	w := &crowd{t: t}
	w.enter(p.address, "lobby")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.talk(ctx)
	for range 3 {
		w.wait(10)
		next := run(t, "chat", flags...)
		if next.address != p.address {
			t.Fatalf("the next process listens on %s, want %s", next.address, p.address)
		}
		p.wait(t)
		p = next
	}
	w.wait(10)
	stop()
	w.all.Wait()
	p.stop(t, syscall.SIGTERM)
}

// wait waits until each client has heard n more messages of each, about.
func (w *crowd) wait(n int64) {
	var before [chatters]int64
	for i := range before {
		before[i] = w.heard[i].Load()
	}
	deadline := time.Now().Add(patience)
	for i := 0; i < chatters; {
		switch {
		case w.heard[i].Load() >= before[i]+n*chatters:
			i++
		case w.t.Failed():
			w.t.FailNow()
		case time.Now().After(deadline):
			w.t.Fatalf("client %d has heard %d messages, then %d", i, before[i], w.heard[i].Load())
		default:
			time.Sleep(time.Millisecond)
		}
	}
}

// TestChatStartsItsSuccessor: a signal makes the process start its own binary.
func TestChatStartsItsSuccessor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handover")
	p := run(t, "chat", "-addr", "127.0.0.1:0", "-handover", path)
	c, err := tryChat(t, p.address, "?secret=the+secret+of+Ada&name=Ada")
	if err != nil {
		t.Fatal(err)
	}
	p.Process.Signal(syscall.SIGUSR2)
	next := p.successor(t, path)
	defer syscall.Kill(next, syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	wsutil.WriteClientText(c, []byte(`{"type":"ping"}`))
	if b, err := wsutil.ReadServerText(c); err != nil || string(b) != `{"type":"pong"}` {
		t.Fatalf("%s, %v", b, err)
	}
}

// successor waits for another process with the same path.
func (p *process) successor(t *testing.T, path string) (pid int) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		out, _ := exec.Command("pgrep", "-f", path).Output()
		for line := range strings.Lines(string(out)) {
			if fmt.Sscan(line, &pid); pid != p.Process.Pid {
				return pid
			}
		}
	}
	t.Fatal("no process was started")
	panic("unreachable")
}
