package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestProgressOfQuickHandover: a process that was the new one tells that it has handed over, even
// if that begins and ends between two looks.
func TestProgressOfQuickHandover(t *testing.T) {
	looks := []engine.HandoverStats{
		{},
		{Stage: engine.HandoverDone, Inherited: true, Moved: 3, Took: 5 * time.Millisecond},
		{Stage: engine.HandoverDone, Inherited: true, Moved: 3, Took: 5 * time.Millisecond},
		{Stage: engine.HandoverDone, Moved: 4, Total: 4, Took: 2 * time.Millisecond},
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	showProgress(ctx, out, func() engine.HandoverStats {
		if n == len(looks)-1 {
			cancel() // this look, or one more, is the last
			return looks[n]
		}
		n++
		return looks[n-1]
	})
	got, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := "handover done: 3 connections taken over in 0.005 s\nhandover done: 4 connections given in 0.002 s\n"
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
