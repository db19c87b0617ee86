package main

import (
	"context"
	"errors"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/myriadnet/myriad/engine"
)

// restart replaces the process, and is replaced.
type restart struct {
	eng      *engine.Engine
	handover engine.Handover
	binary   string // what this process was started from; it may be another file by now
	usr2     chan os.Signal
	next     atomic.Int64 // the process that was started; 0: none
}

// inherit takes over from the process before, if there is one. A signal that comes before this one
// serves waits for that: it would be lost otherwise.
func (r *restart) inherit(ctx context.Context) (err error) {
	r.usr2 = make(chan os.Signal, 1)
	signal.Notify(r.usr2, syscall.SIGUSR2)
	if r.binary, err = exec.LookPath(os.Args[0]); err != nil {
		return err
	}
	if r.binary, err = filepath.Abs(r.binary); err != nil {
		return err
	}
	found, err := r.handover.Inherit(ctx, r.eng)
	if found {
		log.Printf("process %d takes over", os.Getpid())
	}
	return err
}

// begin offers the engine to the next process, and starts one when a signal asks for it. The
// function that it returns waits for the end of that.
func (r *restart) begin(ctx context.Context, ln *engine.Listener) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	all.Go(func() {
		select {
		case <-r.eng.Started():
			notify("READY=1")
			notifyStore(ln)
		case <-ctx.Done():
		}
	})
	all.Go(func() { showProgress(ctx, os.Stderr, r.eng.Handover) })
	all.Go(func() { r.startOthers(ctx) })
	all.Go(func() {
		if err := r.handover.Offer(ctx, r.eng); errors.Is(err, engine.ErrHandedOver) {
			if pid := r.next.Load(); pid != 0 {
				notifyMain(int(pid)) // before this one ends, which systemd would take for the end
			}
		} else if ctx.Err() == nil && !errors.Is(err, engine.ErrClosed) {
			log.Print(err)
		}
	})
	return func() {
		signal.Stop(r.usr2)
		cancel()
		all.Wait()
	}
}

// startOthers starts a process for each signal, one at a time.
func (r *restart) startOthers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.usr2:
		}
		cmd := exec.Command(r.binary, os.Args[1:]...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			log.Print(err)
			continue
		}
		r.next.Store(int64(cmd.Process.Pid))
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ctx.Done():
			return
		case err := <-ended: // it has not taken over
			r.next.Store(0)
			log.Print("the next process has ended: ", err)
		}
	}
}
