package engine_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// testLink is a Link made of functions.
type testLink struct {
	give func(link net.Conn, moved <-chan struct{})
	take func(link net.Conn) error
}

func (k *testLink) Give(link net.Conn, moved <-chan struct{}) { k.give(link, moved) }
func (k *testLink) Take(link net.Conn) error                  { return k.take(link) }

// readsAll is a take that sends everything that came before the end of the link.
func readsAll(to chan<- string) func(net.Conn) error {
	return func(link net.Conn) error {
		go func() {
			defer link.Close()
			b, err := io.ReadAll(link)
			if err != nil {
				b = append(b, err.Error()...)
			}
			to <- string(b)
		}()
		return nil
	}
}

// TestLinksCarryWhatIsGiven: each Link has a connection of its own, in order, from before the first
// connection moves until after the last has. One that the new process does not know breaks, and
// does not keep anything else from moving.
func TestLinksCarryWhatIsGiven(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 2}
	var g *generation
	giver := func(name string) *testLink {
		return &testLink{give: func(link net.Conn, moved <-chan struct{}) {
			defer link.Close()
			fmt.Fprintf(link, "%s: %d have moved", name, g.Handover().Moved)
			<-moved
			fmt.Fprintf(link, ", then %d", g.Handover().Moved)
		}}
	}
	broken := make(chan error, 1)
	unknown := &testLink{give: func(link net.Conn, _ <-chan struct{}) {
		defer link.Close()
		_, err := link.Read(make([]byte, 1))
		broken <- err
	}}
	old := h
	old.Links = map[string]engine.Link{"a": giver("a"), "b": giver("b"), "unknown": unknown}
	g = begin(t, old, c, engine.ListenConfig{}, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	a, b := make(chan string, 1), make(chan string, 1)
	next := h
	next.Links = map[string]engine.Link{"a": &testLink{take: readsAll(a)}, "b": &testLink{take: readsAll(b)},
		"not there": &testLink{take: func(net.Conn) error { return errors.New("called") }}}
	g.handOver(t, next, c, engine.ListenConfig{}, newMover)
	for name, got := range map[string]chan string{"a": a, "b": b} {
		if got, want := receive(t, "end of a link", got), name+": 0 have moved, then 1"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if err := receive(t, "end of the unknown link", broken); err == nil {
		t.Error("the unknown link carries something")
	}
	talk(t, nc, &pos, 1)
}

// TestTakeFails: an error or a panic in Take is that of Inherit. The old process goes on, its end
// of the link breaks, and the next process takes over.
func TestTakeFails(t *testing.T) {
	for name, take := range map[string]func(net.Conn) error{
		"error": func(net.Conn) error { return io.ErrNoProgress },
		"panic": func(net.Conn) error { panic(io.ErrNoProgress) },
	} {
		t.Run(name, func(t *testing.T) {
			h := engine.Handover{Path: handoverPath(t), Load: loadMover}
			c := engine.Config{Loops: 1}
			wasMoved := make(chan bool, 2)
			old := h
			old.Links = map[string]engine.Link{"a": &testLink{give: func(link net.Conn, moved <-chan struct{}) {
				defer link.Close()
				broken := make(chan bool)
				go func() {
					link.Read(make([]byte, 1))
					close(broken)
				}()
				select {
				case <-moved:
					wasMoved <- true
				case <-broken:
					wasMoved <- false
				}
			}}}
			g := begin(t, old, c, engine.ListenConfig{}, newMover)
			g.run()
			nc, pos := dialTo(t, g.ln.String()), uint64(0)
			talk(t, nc, &pos, 1)
			eventually(t, "offer", func() bool {
				_, err := os.Stat(h.Path)
				return err == nil
			})
			failing := h
			failing.Links = map[string]engine.Link{"a": &testLink{take: take}}
			e, err := engine.New(c)
			if err != nil {
				t.Fatal(err)
			}
			defer e.Close()
			if _, err := failing.Inherit(t.Context(), e); !errors.Is(err, io.ErrNoProgress) {
				t.Errorf("Inherit: %v", err)
			}
			g.waitFor(t, engine.HandoverFailed)
			if receive(t, "end of Give", wasMoved) {
				t.Error("moved is closed, and nothing has moved")
			}
			talk(t, nc, &pos, 1)
			next := h
			next.Links = map[string]engine.Link{"a": &testLink{take: readsAll(make(chan string, 1))}}
			g.handOver(t, next, c, engine.ListenConfig{}, newMover)
			talk(t, nc, &pos, 1)
		})
	}
}

// TestGivePanics: it breaks the link, and costs nothing else.
func TestGivePanics(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	old := h
	old.Links = map[string]engine.Link{"a": &testLink{give: func(link net.Conn, _ <-chan struct{}) {
		io.WriteString(link, "before")
		panic("in Give")
	}}}
	g := begin(t, old, c, engine.ListenConfig{}, newMover)
	g.run()
	nc, pos := dialTo(t, g.ln.String()), uint64(0)
	talk(t, nc, &pos, 1)
	got := make(chan string, 1)
	next := h
	next.Links = map[string]engine.Link{"a": &testLink{take: readsAll(got)}}
	g.handOver(t, next, c, engine.ListenConfig{}, newMover)
	if got := receive(t, "end of the link", got); got != "before" {
		t.Errorf("the link has %q", got)
	}
	talk(t, nc, &pos, 1)
	if log := g.log.String(); !strings.Contains(log, "in Give") {
		t.Errorf("the panic is not logged: %s", log)
	}
}

// linkPath is the Path of a process of TestLinkBreaksWithTheOldProcess.
const linkPath = "MYRIAD_LINK_PATH"

// TestLinkProcess is the program of such a process, and no test.
func TestLinkProcess(t *testing.T) {
	path := os.Getenv(linkPath)
	if path == "" {
		t.Skip("run by TestLinkBreaksWithTheOldProcess")
	}
	link := &testLink{give: func(link net.Conn, _ <-chan struct{}) {
		io.WriteString(link, "a part")
		select {}
	}}
	g := begin(t, engine.Handover{Path: path, Load: loadMover, Links: map[string]engine.Link{"a": link}},
		engine.Config{Loops: 1}, engine.ListenConfig{}, newMover)
	g.run()
	fmt.Println("listening on", g.ln)
	receive(t, "end", g.ran)
}

// TestLinkBreaksWithTheOldProcess: whoever takes is told by the end of the link that the old
// process has died, and what came before is there. The new process serves.
func TestLinkBreaksWithTheOldProcess(t *testing.T) {
	h := engine.Handover{Path: filepath.Join(t.TempDir(), "handover"), Load: loadMover}
	old := exec.Command(os.Args[0], "-test.run=^TestLinkProcess$", "-test.v=false")
	old.Env = append(os.Environ(), linkPath+"="+h.Path)
	out, err := old.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Start(); err != nil {
		t.Fatal(err)
	}
	defer old.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "offer", func() bool {
		_, err := os.Stat(h.Path)
		return err == nil
	})
	got := make(chan string, 1)
	h.Links = map[string]engine.Link{"a": &testLink{take: func(link net.Conn) error {
		link.SetReadDeadline(time.Now().Add(patience))
		b := make([]byte, len("a part"))
		_, err := io.ReadFull(link, b)
		go func() {
			defer link.Close()
			rest, _ := io.ReadAll(link)
			got <- string(b) + string(rest)
		}()
		return err
	}}}
	e, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if found, err := h.Inherit(t.Context(), e); err != nil || !found {
		t.Fatal(found, err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", newMover)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields(line)[2]; ln.String() != want {
		t.Fatalf("the new process listens on %v, the old one on %s", ln, want)
	}
	old.Process.Kill()
	old.Wait()
	if got := receive(t, "end of the link", got); got != "a part" {
		t.Errorf("the link has %q", got)
	}
	go e.Run(context.Background())
	pos := uint64(0)
	talk(t, dialTo(t, ln.String()), &pos, 1)
}

// TestLinksBreakIfOfferIsCancelled: Give learns it by its link, and moved stays open. The old
// process serves on.
func TestLinksBreakIfOfferIsCancelled(t *testing.T) {
	h := engine.Handover{Path: handoverPath(t), Load: loadMover}
	c := engine.Config{Loops: 1}
	wasMoved := make(chan bool, 1)
	old := h
	old.Links = map[string]engine.Link{"a": &testLink{give: func(link net.Conn, moved <-chan struct{}) {
		defer link.Close()
		link.SetReadDeadline(time.Now().Add(patience))
		_, err := link.Read(make([]byte, 1))
		select {
		case <-moved:
			wasMoved <- true
		default:
			wasMoved <- errors.Is(err, os.ErrDeadlineExceeded)
		}
	}}}
	g := begin(t, old, c, engine.ListenConfig{}, newMover)
	go g.Run(context.Background())
	receive(t, "Run", g.Started())
	ctx, cancel := context.WithCancel(context.Background())
	go func() { g.offered <- g.h.Offer(ctx, g.Engine) }()
	eventually(t, "offer", func() bool {
		_, err := os.Stat(h.Path)
		return err == nil
	})
	e, err := engine.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	got := make(chan string, 1)
	h.Links = map[string]engine.Link{"a": &testLink{take: readsAll(got)}}
	if found, err := h.Inherit(t.Context(), e); !found || err != nil {
		t.Fatal(found, err)
	}
	cancel()
	if err := receive(t, "end of Offer", g.offered); !errors.Is(err, context.Canceled) {
		t.Errorf("Offer: %v", err)
	}
	if receive(t, "end of Give", wasMoved) {
		t.Error("moved is closed, or the link is open")
	}
	if got := receive(t, "end of the link", got); got != "" {
		t.Errorf("the link has %q", got)
	}
	pos := uint64(0)
	talk(t, dialTo(t, g.ln.String()), &pos, 1)
}
