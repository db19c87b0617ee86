package topic

import (
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
