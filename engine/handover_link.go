package engine

import (
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine/internal/handover"
)

// Link brings what a program keeps beside its connections from the old process to the new one, such
// as the topics of a Hub. Each Link of Handover.Links has a connection of its own between the two,
// which nobody else can use.
type Link interface {
	// Give is called in the old process, on a goroutine of its own, when a new one has connected,
	// before the first connection moves. moved is closed when all connections have moved that can.
	// The engine is shut down when Give has returned, or after Handover.Timeout. A panic is logged,
	// and breaks the link.
	//
	// The link breaks if the new process dies or refuses. If both go on because the handover has
	// broken halfway, it stays, and moved is never closed. Give must close it.
	Give(link net.Conn, moved <-chan struct{})
	// Take is called in the new process, by Inherit, if the old one has a Link of the same name. It
	// keeps the link, and must close it. Inherit returns its error, or a *PanicError if it panics,
	// and closes the link. Then the old process goes on.
	Take(link net.Conn) error
}

// linkNetwork is the network of what Links are given among the listeners.
const linkNetwork = "link"

// givenLinks are the Links of a handover to another process.
type givenLinks struct {
	theirs []handover.Listener
	ours   []net.Conn
	moved  chan struct{}
	all    sync.WaitGroup
}

// giveLinks calls Give of all Links.
func (h *Handover) giveLinks(e *Engine) (*givenLinks, error) {
	g := &givenLinks{moved: make(chan struct{})}
	for name := range h.Links {
		our, their, err := linkPair()
		if err == nil {
			g.theirs = append(g.theirs, handover.Listener{Network: linkNetwork, Address: name, FDs: []int{their}})
			var link net.Conn
			if link, err = linkOf(our); err == nil {
				g.ours = append(g.ours, link)
				continue
			}
		}
		g.end()
		return nil, fmt.Errorf("engine: handover: link %q: %w", name, err)
	}
	for i, t := range g.theirs {
		g.all.Go(func() {
			err := caughtLink(func() error {
				h.Links[t.Address].Give(g.ours[i], g.moved)
				return nil
			})
			if err != nil {
				e.config.Logger.Error("engine: a Link does not give", "link", t.Address, "error", err)
				g.ours[i].Close()
			}
		})
	}
	return g, nil
}

// sent closes this process's copies of what the other one has.
func (g *givenLinks) sent() {
	for _, t := range g.theirs {
		for _, fd := range t.FDs {
			closeLink(fd)
		}
	}
	g.theirs = nil
}

// end breaks the links of a handover that has failed.
func (g *givenLinks) end() {
	g.sent()
	for _, link := range g.ours {
		link.Close()
	}
}

// complete waits until the Links have given what they have, but not for longer than limit.
func (g *givenLinks) complete(limit time.Duration) {
	close(g.moved)
	given := make(chan struct{})
	go func() {
		g.all.Wait()
		close(given)
	}()
	select {
	case <-given:
	case <-time.After(limit):
		g.end()
	}
}

// takeLink gives a Link its connection from the old process.
func (h *Handover) takeLink(name string, fd int) error {
	k := h.Links[name]
	if k == nil {
		closeLink(fd)
		return nil
	}
	link, err := linkOf(fd)
	if err == nil {
		if err = caughtLink(func() error { return k.Take(link) }); err != nil {
			link.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("link %q: %w", name, err)
	}
	return nil
}

// caughtLink calls f, which calls a Link. The error is that of f, or says that it has panicked.
func caughtLink(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// linkOf makes a connection of a descriptor, which it takes over.
func linkOf(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "link")
	defer f.Close() // the connection has a copy
	return net.FileConn(f)
}

// linkTimeout is for Handover.Timeout 0.
const linkTimeout = 10 * time.Second
