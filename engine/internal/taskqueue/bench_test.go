package taskqueue

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
)

// BenchmarkQueue carries tasks from other goroutines to one consumer, which sleeps when there are
// none. It compares the Queue with a channel of 1,024, and with a slice behind a mutex, which the
// consumer takes whole. Tasks are pooled, as in the engine. A producer yields after every 64 tasks.
// Without producers the consumer gives itself one task at a time.
func BenchmarkQueue(b *testing.B) {
	for _, producers := range []int{0, 1, 4} {
		for _, q := range []struct {
			name string
			make func() carrier
		}{
			{"myriad", func() carrier { return &lockFree{wake: make(chan struct{}, 1)} }},
			{"channel", func() carrier { return channel(make(chan *task, 1024)) }},
			{"mutex", func() carrier { return newLocked() }},
		} {
			b.Run(fmt.Sprintf("producers=%d/impl=%s", producers, q.name), func(b *testing.B) {
				b.ReportAllocs()
				c := q.make()
				for p := range producers {
					go produce(c, (b.N+p)/producers)
				}
				for range b.N {
					if producers == 0 {
						produce(c, 1)
					}
					pool.Put(c.pop())
				}
			})
		}
	}
}

type task = Node[int]

var pool = sync.Pool{New: func() any { return new(task) }}

func produce(c carrier, n int) {
	for i := range n {
		c.push(pool.Get().(*task))
		if i%64 == 63 {
			runtime.Gosched()
		}
	}
}

// carrier brings tasks from any goroutine to one. pop waits for the next.
type carrier interface {
	push(*task)
	pop() *task
}

// lockFree is a Queue. Its consumer is woken through a channel instead of an eventfd.
type lockFree struct {
	q    Queue[int]
	wake chan struct{}
}

func (l *lockFree) push(t *task) {
	if wake, _ := l.q.Push(t); wake {
		l.wake <- struct{}{}
	}
}

func (l *lockFree) pop() *task {
	for {
		if t := l.q.Pop(); t != nil {
			return t
		}
		if l.q.Sleep() {
			<-l.wake
		}
	}
}

type channel chan *task

func (c channel) push(t *task) { c <- t }
func (c channel) pop() *task   { return <-c }

type locked struct {
	mu      sync.Mutex
	pushed  sync.Cond
	in, out []*task
	next    int // of out
}

func newLocked() *locked {
	l := new(locked)
	l.pushed.L = &l.mu
	return l
}

func (l *locked) push(t *task) {
	l.mu.Lock()
	l.in = append(l.in, t)
	l.mu.Unlock()
	l.pushed.Signal()
}

func (l *locked) pop() *task {
	if l.next == len(l.out) {
		l.mu.Lock()
		for len(l.in) == 0 {
			l.pushed.Wait()
		}
		l.in, l.out, l.next = l.out[:0], l.in, 0
		l.mu.Unlock()
	}
	l.next++
	return l.out[l.next-1]
}
