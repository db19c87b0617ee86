package taskqueue

import (
	"sync"
	"testing"
	"time"
)

type item struct{ producer, number int }

// TestEveryPushIsPoppedOnceInOrder has many producers and a consumer that really sleeps. It is
// woken only when Push returns wake, so a lost wake-up would leave it asleep for ever.
func TestEveryPushIsPoppedOnceInOrder(t *testing.T) {
	const producers, each = 8, 5000
	var q Queue[item]
	wake := make(chan struct{}, producers*each)
	var wakes, sleeps int
	var mu sync.Mutex
	for p := range producers {
		go func() {
			for i := range each {
				w, ok := q.Push(&Node[item]{Value: item{p, i}})
				if !ok {
					t.Error("Push failed on an open queue")
				}
				if w {
					mu.Lock()
					wakes++
					mu.Unlock()
					wake <- struct{}{}
				}
			}
		}()
	}
	next := make([]int, producers)
	for got := 0; got < producers*each; {
		n := q.Pop()
		if n == nil {
			if q.Sleep() {
				sleeps++
				select {
				case <-wake:
				case <-time.After(10 * time.Second):
					t.Fatal("the consumer was not woken")
				}
				q.Awake()
			}
			continue
		}
		if n.Value.number != next[n.Value.producer] {
			t.Fatalf("producer %d: %d came before %d", n.Value.producer, n.Value.number, next[n.Value.producer])
		}
		next[n.Value.producer]++
		got++
	}
	mu.Lock()
	defer mu.Unlock()
	if wakes > sleeps {
		t.Fatalf("%d wakes for %d sleeps", wakes, sleeps)
	}
}

func TestSleepSeesTasks(t *testing.T) {
	var q Queue[int]
	if !q.Empty() || !q.Sleep() {
		t.Fatal("an empty queue must let its consumer sleep")
	}
	if !q.Empty() || q.Pop() != nil {
		t.Fatal("asleep is not a task")
	}
	q.Awake()
	if wake, _ := q.Push(&Node[int]{Value: 1}); wake {
		t.Fatal("woke an awake consumer")
	}
	if q.Sleep() || q.Empty() {
		t.Fatal("went to sleep over a task")
	}
	if q.Pop(); !q.Sleep() {
		t.Fatal("cannot sleep")
	}
	first, _ := q.Push(&Node[int]{Value: 2})
	second, _ := q.Push(&Node[int]{Value: 3})
	if !first || second {
		t.Fatalf("wakes: %v, %v; want one, by the first push", first, second)
	}
	if a, b := q.Pop(), q.Pop(); a.Value != 2 || b.Value != 3 {
		t.Fatalf("%d before %d", a.Value, b.Value)
	}
}

func TestCloseLosesNoAcceptedTask(t *testing.T) {
	for range 200 {
		var q Queue[int]
		const producers = 4
		accepted := make([]int, producers)
		var all sync.WaitGroup
		for p := range producers {
			all.Go(func() {
				for {
					if _, ok := q.Push(new(Node[int])); !ok {
						return
					}
					accepted[p]++
				}
			})
		}
		popped := 0
		for popped < 50 {
			if q.Pop() != nil {
				popped++
			}
		}
		q.Close()
		q.Close() // a second one does nothing
		for q.Pop() != nil {
			popped++
		}
		all.Wait()
		want := 0
		for _, n := range accepted {
			want += n
		}
		if popped != want || !q.Empty() {
			t.Fatalf("%d popped of %d accepted", popped, want)
		}
	}
}

func TestPushDoesNotAllocate(t *testing.T) {
	var q Queue[int]
	n := new(Node[int])
	if a := testing.AllocsPerRun(1000, func() {
		q.Push(n)
		n = q.Pop()
	}); a != 0 {
		t.Fatalf("%v allocations", a)
	}
}
