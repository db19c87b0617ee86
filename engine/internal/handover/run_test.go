//go:build darwin || freebsd || linux

package handover

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pairs returns n connected pairs of sockets: the near ends move, the far ends stay.
func pairs(t *testing.T, n int) (near, far []int) {
	t.Helper()
	for range n {
		a, b, err := pair()
		if err != nil {
			t.Fatal(err)
		}
		near, far = append(near, a), append(far, b)
	}
	t.Cleanup(func() { closeFDs(far) })
	return near, far
}

// stateOf is what connection i takes along: some have megabytes.
func stateOf(i int) []byte {
	size := 4 + i%400
	if i%97 == 5 {
		size = 3 << 20
	}
	b := bytes.Repeat([]byte{byte(i)}, size)
	binary.LittleEndian.PutUint32(b, uint32(i))
	return b
}

// oldEngine posts connections by several loops.
type oldEngine struct {
	giver   *Giver
	mu      sync.Mutex
	waiting [][]int // per loop, what is to be posted
	near    []int
	back    []int // given back
	open    int   // loops that are not at their end
}

func (e *oldEngine) post(loop int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.waiting[loop]) == 0 {
		if e.open--; e.open == 0 {
			e.giver.Finish()
		}
		return
	}
	n := min(64, len(e.waiting[loop]))
	b := &Batch{Stream: uint32(loop), Data: e.waiting[loop][:n]}
	for _, i := range e.waiting[loop][:n] {
		b.Items = append(b.Items, Item{FD: e.near[i], State: stateOf(i)})
	}
	e.waiting[loop] = e.waiting[loop][n:]
	if err := e.giver.Post(b); err != nil {
		panic(err)
	}
}

func (e *oldEngine) settled(b *Batch) {
	for j, i := range b.Data.([]int) {
		if b.Taken.Has(j) {
			unix.Close(e.near[i])
			continue
		}
		e.mu.Lock()
		e.back = append(e.back, i)
		e.mu.Unlock()
	}
	if b.Err == nil {
		go e.post(int(b.Stream)) // as a loop would, in its next turn
	}
}

// newEngine takes them.
type newEngine struct {
	mu    sync.Mutex
	taken map[int]int // the descriptor of each connection
	wrong int
}

func (e *newEngine) prepare(b *Incoming) {
	go func() { // as a loop would
		var refuses Set
		for j, it := range b.Items {
			i := int(binary.LittleEndian.Uint32(it.State))
			if !bytes.Equal(it.State, stateOf(i)) {
				e.mu.Lock()
				e.wrong++
				e.mu.Unlock()
			}
			if i%50 == 7 {
				refuses.Add(j)
			}
		}
		b.Acknowledge(refuses)
	}()
}

func (e *newEngine) own(b *Incoming, refused Set) {
	for j, it := range b.Items {
		if !refused.Has(j) {
			e.taken[int(binary.LittleEndian.Uint32(it.State))] = it.FD
		}
	}
}

// TestHandoverOverSockets moves connections and a listener over real sockets, with batches of
// megabytes. Each connection works at the one side that has it.
func TestHandoverOverSockets(t *testing.T) {
	lines(t, func(t *testing.T) {
		noLeak(t)
		const n, loops = 400, 3
		near, far := pairs(t, n)
		socket, _ := pairs(t, 1)
		defer closeFDs(socket)
		ctx, cancel := context.WithTimeout(t.Context(), patient)
		defer cancel()
		ends1, ends2 := ends(t)
		old := &oldEngine{waiting: make([][]int, loops), near: near, open: loops}
		for i := range n {
			old.waiting[i%loops] = append(old.waiting[i%loops], i)
		}
		secret := []byte("secret")
		old.giver = NewGiver(ends1, GiverConfig{
			Listeners: []Listener{{Network: "unix", Address: "/x", Meta: []byte("meta"), FDs: socket}},
			Secrets:   secret,
			Ready: func(bool) {
				for loop := range loops {
					old.post(loop)
				}
			},
			Settled: old.settled,
		})
		gave := make(chan error, 1)
		go func() { gave <- old.giver.Run(ctx) }()
		next := &newEngine{taken: map[int]int{}}
		taker := NewTaker(ends2, TakerConfig{
			Prepare: next.prepare, Own: next.own, Drop: func(*Incoming) { t.Error("a batch is dropped") },
		})
		in, err := taker.Listeners(ctx)
		if err != nil {
			t.Fatal(err)
		}
		l := in.Listeners
		if len(l) != 1 || l[0].Network != "unix" || l[0].Address != "/x" || string(l[0].Meta) != "meta" ||
			len(l[0].FDs) != 1 || string(in.Secrets) != "secret" {
			t.Fatalf("inherited: %+v", in)
		}
		closeFDs(l[0].FDs)
		if err := taker.Run(ctx); err != nil {
			t.Error(err)
		}
		if err := <-gave; err != nil {
			t.Error(err)
		}
		if string(secret) != "\x00\x00\x00\x00\x00\x00" {
			t.Error("the secrets are not wiped")
		}
		if next.wrong > 0 || len(next.taken)+len(old.back) != n || len(old.back) != n/50 {
			t.Errorf("%d taken, %d given back, %d with a wrong state", len(next.taken), len(old.back), next.wrong)
		}
		for _, i := range old.back {
			next.taken[i] = near[i]
		}
		for i, fd := range next.taken {
			unix.Write(fd, []byte{byte(i)})
			var p [1]byte
			if n, err := unix.Read(far[i], p[:]); n != 1 || p[0] != byte(i) {
				t.Fatalf("connection %d does not work: %v", i, err)
			}
			unix.Close(fd)
		}
	})
}

// TestTakerGoneBeforeReady: nothing has changed for the giver, however the taker ends.
func TestTakerGoneBeforeReady(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(*Taker, Waiter)
		is   func(error) bool
	}{
		{"refuses", func(k *Taker, _ Waiter) { k.Refuse("not me") }, func(err error) bool {
			var r *RefusedError
			return errors.As(err, &r) && r.Reason == "not me"
		}},
		{"dies", func(_ *Taker, w Waiter) { w.Close() }, func(err error) bool { return errors.Is(err, ErrClosed) }},
		{"waits", func(*Taker, Waiter) {}, func(err error) bool { return errors.Is(err, ErrTimeout) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines(t, func(t *testing.T) {
				noLeak(t)
				ends1, ends2 := ends(t)
				socket, _ := pairs(t, 1)
				defer closeFDs(socket)
				g := NewGiver(ends1, GiverConfig{
					Listeners: []Listener{{Network: "tcp", Address: "x", FDs: socket}}, Patience: time.Second,
					Ready: func(bool) { t.Error("Ready is called") },
				})
				gave := make(chan error, 1)
				go func() { gave <- g.Run(t.Context()) }()
				k := NewTaker(ends2, TakerConfig{})
				in, err := k.Listeners(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				closeFDs(in.Listeners[0].FDs)
				c.end(k, ends2)
				var broken *BrokenError
				if err := <-gave; !c.is(err) || errors.As(err, &broken) {
					t.Errorf("the giver ends with %v", err)
				}
				if err := g.Post(&Batch{Items: []Item{{FD: 1}}}); err != ErrOver {
					t.Errorf("Post returns %v, want ErrOver", err)
				}
			})
		})
	}
}

// TestGiverGoneBeforeReady: the taker does not accept, and its Run says so.
func TestGiverGoneBeforeReady(t *testing.T) {
	lines(t, func(t *testing.T) {
		noLeak(t)
		ends1, ends2 := ends(t)
		ctx, cancel := context.WithCancel(t.Context())
		g := NewGiver(ends1, GiverConfig{})
		gave := make(chan error, 1)
		go func() { gave <- g.Run(ctx) }()
		k := NewTaker(ends2, TakerConfig{Accept: func() { t.Error("Accept is called") }})
		if _, err := k.Listeners(t.Context()); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-gave; !errors.Is(err, context.Canceled) {
			t.Errorf("the giver ends with %v", err)
		}
		if err := k.Run(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("the taker ends with %v, want ErrClosed", err)
		}
	})
}

// TestAnotherProtocol: both sides say so.
func TestAnotherProtocol(t *testing.T) {
	noLeak(t)
	ends1, ends2 := ends(t)
	other := appendHello(nil, 0)
	other[headerSize+len(magic)]++
	if _, err := ends2.Send(other, nil); err != nil {
		t.Fatal(err)
	}
	g := NewGiver(ends1, GiverConfig{})
	if err := g.Run(t.Context()); !errors.Is(err, ErrVersion) {
		t.Errorf("the giver ends with %v, want ErrVersion", err)
	}
}
