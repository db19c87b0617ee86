package engine_test

import (
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestPostTurn: a job that posts its next part lets the loop have its turn in between. With Post
// all parts would run in one turn.
func TestPostTurn(t *testing.T) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	go eng.Run(t.Context())
	defer eng.Close()
	const parts = 64
	done := make(chan uint64, 1)
	left := parts
	var first uint64
	var part func()
	part = func() {
		turns := engine.Turns(eng, 0)
		if left == parts {
			first = turns
		}
		if left--; left > 0 {
			eng.PostTurn(0, part)
			return
		}
		done <- turns - first
	}
	if err := eng.PostTurn(0, part); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n < parts-1 {
		t.Errorf("%d parts have run in %d turns", parts, n+1)
	}
	if eng.PostTurn(1, part) == nil || eng.PostTurn(0, nil) == nil {
		t.Error("no error")
	}
}
