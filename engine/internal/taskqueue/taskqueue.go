// Package taskqueue carries tasks from any goroutine to one loop.
package taskqueue

import "sync/atomic"

// Node is a task with room for its link. It belongs to whoever made it until it is pushed, and again from Pop on, so
// nodes can be pooled and pushing allocates nothing.
type Node[T any] struct {
	next  *Node[T]
	Value T
}

// Queue is a queue with many producers and one consumer, who may sleep. The zero value is empty and awake.
//
// Producers push onto a stack by compare-and-swap; the consumer takes the whole stack at once and turns it over. So the
// nodes of one producer come out in the order in which they went in, there is no ABA problem, for nothing is ever popped
// from the shared stack singly, and nobody waits for anybody.
//
// The stack's head also says whether the consumer sleeps and whether the queue is closed, as two reserved nodes: then
// the push that must wake the consumer, or must fail, learns it from the very compare-and-swap that publishes its task.
// A wake-up cannot be lost between two variables, because there is only one.
//
//	head = nil       empty, consumer awake
//	head = asleep    empty, consumer asleep: the push that replaces it must wake
//	head = node ...  tasks; the consumer is awake or being woken
//	head = shut      closed
type Queue[T any] struct {
	head atomic.Pointer[Node[T]]
	out  *Node[T] // the consumer's: taken and turned over

	asleep, shut Node[T] // reserved: only their addresses matter
}

// Push adds n and says whether the caller must wake the consumer: only one of those who push while it sleeps has to. ok
// is false if the queue is closed; n then still belongs to the caller. Any goroutine may call it.
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

// Pop takes the oldest task, nil if there is none. Like all that follow it is for the consumer only.
func (q *Queue[T]) Pop() *Node[T] {
	if q.out == nil && !q.take() {
		return nil
	}
	n := q.out
	q.out, n.next = n.next, nil
	return n
}

// take turns the stack over into out.
func (q *Queue[T]) take() bool {
	head := q.head.Load()
	if head == nil || head == &q.asleep || head == &q.shut {
		return false
	}
	for n := q.head.Swap(nil); n != nil; {
		n.next, q.out, n = q.out, n, n.next
	}
	return true
}

// Empty says whether Pop would return nil.
func (q *Queue[T]) Empty() bool {
	if q.out != nil {
		return false
	}
	head := q.head.Load()
	return head == nil || head == &q.asleep || head == &q.shut
}

// Len counts the tasks, one by one.
func (q *Queue[T]) Len() (n int) {
	for t := q.out; t != nil; t = t.next {
		n++
	}
	for t := q.head.Load(); t != nil && t != &q.asleep && t != &q.shut; t = t.next {
		n++
	}
	return n
}

// Sleep announces that the consumer is going to sleep: from now on one Push answers that it must be woken. It returns
// false, and announces nothing, if there are tasks already.
func (q *Queue[T]) Sleep() bool {
	return q.out == nil && q.head.CompareAndSwap(nil, &q.asleep)
}

// Awake takes the announcement back.
func (q *Queue[T]) Awake() { q.head.CompareAndSwap(&q.asleep, nil) }

// Close makes every later Push fail. What was pushed before can still be popped: a Push that succeeded is never lost.
func (q *Queue[T]) Close() {
	last := q.head.Swap(&q.shut)
	if last == nil || last == &q.asleep || last == &q.shut {
		return
	}
	var turned *Node[T]
	for n := last; n != nil; {
		n.next, turned, n = turned, n, n.next
	}
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
