package topic

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
)

// TestAgendaGoesOnAfterGoexit: a Broker whose Unsubscribe or Leave calls runtime.Goexit, as that of
// a test may, ends the timer's goroutine, and neither the process nor what else is to be done.
func TestAgendaGoesOnAfterGoexit(t *testing.T) {
	a := agenda{clock: realClock{}}
	defer a.close()
	begin := time.Now()
	done := make(chan string, 2)
	a.at(begin.Add(time.Millisecond), func() { guard("Unsubscribe", runtime.Goexit) })
	a.at(begin.Add(time.Millisecond), func() { done <- "due at the same time" })
	a.at(begin.Add(2*time.Millisecond), func() { done <- "due later" })
	for _, want := range []string{"due at the same time", "due later"} {
		select {
		case got := <-done:
			if got != want {
				t.Errorf("called what is %s, want what is %s", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("what is %s is not called", want)
		}
	}
}

// TestAppointmentsComeInOrder: pushed and popped in any order, over several pages.
func TestAppointmentsComeInOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	begin := time.Now()
	var a appointments
	for round := range 3 {
		last := time.Time{}
		for range 5 * pageSize {
			a.push(appointment{when: begin.Add(time.Duration(random.IntN(1000)))})
		}
		for n := a.len(); n > round*pageSize; n-- {
			x := a.pop()
			if x.when.Before(last) {
				t.Fatalf("round %d: %v comes behind %v", round, x.when, last)
			}
			last = x.when
		}
		if a.len() != round*pageSize || len(a.pages) > round+2 {
			t.Fatalf("round %d: %d are left, in %d pages", round, a.len(), len(a.pages))
		}
	}
}

// TestManyAppointmentsAreNotCopied: a topic with a history has an appointment, which is made on the
// loop that publishes. When there were many, one more copied all of them.
func TestManyAppointmentsAreNotCopied(t *testing.T) {
	const all, step, most = 100_000, 100, 64 << 10
	a := agenda{clock: realClock{}}
	defer a.close()
	when := time.Now().Add(time.Hour)
	var before, after runtime.MemStats
	for n := 0; n < all; n += step {
		runtime.ReadMemStats(&before)
		for range step {
			a.at(when, func() {})
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > most {
			t.Fatalf("%d appointments beside %d took %d bytes", step, n, took)
		}
	}
}
