//go:build linux

// Command guard checks that Myriad has not become slower or larger. It measures the promised
// figures for a short time, and compares them with bounds that leave room for a noisy machine. CI
// runs it for every change, in the folder benchmarks. It takes about a minute:
//
//	go run ./guard
//
// CPU time is measured as a ratio to the floor, a bare epoll echo in C, in rounds of both. The
// median counts. A figure over its bound is measured again in more rounds before guard fails.
// Without gcc or a second processor, guard leaves the ratios out.
//
// With -record, guard adds a line for each figure to docs/benchmarks/history.csv:
//
//	go run ./guard -record
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
	rounds := flag.Int("rounds", 3, "rounds for figures of CPU time")
	again := flag.Int("again", 7, "rounds to measure a figure again that is over its bound")
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
		return errors.New("a figure is over its bound, measured twice: by a change, or the machine was too busy")
	}
	return nil
}

// progress writes over the status line, if standard error is a terminal.
func progress(format string, args ...any) {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		fmt.Fprintf(os.Stderr, "\x1b[2K\r"+format, args...)
	}
}
