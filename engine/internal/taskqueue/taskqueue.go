package taskqueue

import "sync/atomic"

// Node is a task with room for its link. It belongs to the producer until Push and to the consumer
// after Pop. Nodes can be pooled: Push allocates nothing.
type Node[T any] struct {
	next  *Node[T]
	Value T
}

// Queue is a queue with many producers and one consumer, which may sleep. The zero value is empty
// and awake.
//
// Producers push onto a stack with compare-and-swap. The consumer takes the whole stack at once and
// turns it over. The tasks of one producer therefore come out in the order in which they went in.
// There is no ABA problem, because no single node is ever popped from the shared stack. No
// goroutine waits for another one.
//
// The stack's head also tells whether the consumer sleeps and whether the queue is closed, with two
// reserved nodes. The producer that must wake the consumer, or must fail, learns this from the
// compare-and-swap that publishes its task. A wake-up cannot be lost between two variables, because
// there is only one.
//
//	head = nil       empty, consumer awake
//	head = asleep    empty, consumer asleep: the push that replaces it must wake
//	head = node ...  tasks; the consumer is awake or being woken
//	head = shut      closed
type Queue[T any] struct {
	head atomic.Pointer[Node[T]]
	out  *Node[T] // the consumer's: taken and turned over

	asleep, shut Node[T] // reserved for their addresses
}

// Push adds n. wake reports whether the caller must wake the consumer, which is true for only one
// of the calls while it sleeps. ok is false if the queue is closed; n then still belongs to the
// caller. Any goroutine may call Push.
func (q *Queue[T]) Push(n *Node[T]) (wake, ok bool) {
	for {
		head := q.head.Load()
		if head == &q.shut {
			return false, false
		}
		wake = head == &q.asleep
		n.next = head
		if wake {
			n.next = nil
		}
		if q.head.CompareAndSwap(head, n) {
			return wake, true
		}
	}
}

// Pop takes the oldest task, nil if there is none. Pop and the methods below are for the consumer
// only.
func (q *Queue[T]) Pop() *Node[T] {
	if q.out == nil && !q.take() {
		return nil
	}
	n := q.out
	q.out, n.next = n.next, nil
	return n
}

// take turns the stack over into out, which is empty.
func (q *Queue[T]) take() bool {
	head := q.head.Load()
	if head == nil || head == &q.asleep || head == &q.shut {
		return false
	}
	q.out = turnOver(q.head.Swap(nil))
	return true
}

// turnOver reverses a list and returns its new first node.
func turnOver[T any](n *Node[T]) (turned *Node[T]) {
	for n != nil {
		n.next, turned, n = turned, n, n.next
	}
	return turned
}

// Empty reports whether Pop would return nil.
func (q *Queue[T]) Empty() bool {
	if q.out != nil {
		return false
	}
	head := q.head.Load()
	return head == nil || head == &q.asleep || head == &q.shut
}

// Len counts the tasks one by one, up to limit: each is likely to be in no cache.
func (q *Queue[T]) Len(limit int) (n int) {
	for range q.All {
		if n == limit {
			break
		}
		n++
	}
	return n
}

// All yields the tasks, in no particular order. They must not be changed.
func (q *Queue[T]) All(yield func(*T) bool) {
	for t := q.out; t != nil; t = t.next {
		if !yield(&t.Value) {
			return
		}
	}
	for t := q.head.Load(); t != nil && t != &q.asleep && t != &q.shut; t = t.next {
		if !yield(&t.Value) {
			return
		}
	}
}

// Sleep announces that the consumer is going to sleep: the next Push returns that it must be woken.
// If there are tasks already, Sleep announces nothing and returns false.
func (q *Queue[T]) Sleep() bool {
	return q.out == nil && q.head.CompareAndSwap(nil, &q.asleep)
}

// Awake takes the announcement back.
func (q *Queue[T]) Awake() { q.head.CompareAndSwap(&q.asleep, nil) }

// Close makes every later Push fail. What was pushed before can still be popped: no task is lost
// after its Push succeeded.
func (q *Queue[T]) Close() {
	last := q.head.Swap(&q.shut)
	if last == nil || last == &q.asleep || last == &q.shut {
		return
	}
	turned := turnOver(last)
	if q.out == nil {
		q.out = turned
		return
	}
	end := q.out
	for end.next != nil {
		end = end.next
	}
	end.next = turned
}
