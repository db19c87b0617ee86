//go:build linux

// Command guard checks that Myriad has not become slower or larger: the figures that it has promised, by a short run, against
// bounds that leave room for a noisy machine. It is run in the folder benchmarks, by CI for every change, and takes about a minute:
//
//	go run ./guard
//
// Processor time is measured as a ratio to the floor, a bare epoll echo in C, in rounds of both; the median counts. A figure over
// its bound is measured again, in more rounds, before it is called so. Without gcc, or without a second processor, that part is left
// out, and the rest is checked.
//
// Nothing is written, unless
//
//	go run ./guard -record
//
// which adds a line for each figure to docs/benchmarks/history.csv, to be committed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("guard: ")
	rounds := flag.Int("rounds", 3, "rounds of what is measured in processor time")
	again := flag.Int("again", 7, "rounds in which a figure over its bound is measured again")
	recording := flag.Bool("record", false, "add the figures to "+historyFile)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *rounds, *again, *recording); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rounds, again int, recording bool) error {
	if _, err := os.Stat("guard/main.go"); err != nil {
		return fmt.Errorf("not in the folder benchmarks: %w", err)
	}
	b, err := newBench()
	if err != nil {
		return err
	}
	checked, err := check(ctx, b, table, rounds, again)
	if err != nil {
		return err
	}
	over := write(os.Stdout, checked)
	if recording {
		if err := record(historyFile, checked); err != nil {
			return err
		}
	}
	if over {
		return errors.New("over the bound, measured twice: what has changed makes it so, or the machine was never quiet")
	}
	return nil
}

// progress writes over the line that says what is going on, if there is anybody to read it.
func progress(format string, args ...any) {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\x1b[2K\r"+format, args...)
	}
}
