package taskqueue_test

import (
	"fmt"

	"github.com/myriadnet/myriad/engine/internal/taskqueue"
)

func Example() {
	var q taskqueue.Queue[string]
	fmt.Println("sleeps:", q.Sleep())

	for _, task := range []string{"one", "two"} { // any goroutine
		wake, ok := q.Push(&taskqueue.Node[string]{Value: task})
		fmt.Println("push:", task, "wake:", wake, "ok:", ok)
	}

	for n := q.Pop(); n != nil; n = q.Pop() { // the consumer, which was woken
		fmt.Println("pop:", n.Value)
	}
	// Output:
	// sleeps: true
	// push: one wake: true ok: true
	// push: two wake: false ok: true
	// pop: one
	// pop: two
}
