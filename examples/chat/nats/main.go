// Command nats is the chat of examples/chat in any number of processes, which share one room by a
// NATS server with JetStream. It is a module of its own, so that a program without NATS does not
// depend on it.
//
//	nats-server -js
//	go run . -addr 127.0.0.1:8080 -nats nats://127.0.0.1:4222
//	go run . -addr 127.0.0.1:8081 -nats nats://127.0.0.1:4222
//
// It has no -handover, as examples/chat has. The room is in no process, so nothing is lost when one
// ends: its pages come back to any other, and get what they have missed. Whether those who are
// present stay so for all others while two processes share a path is not tested.
//
// Open both addresses: everybody sees everybody. End one process and start it again: its pages have
// all that was said meanwhile.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/nats"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/examples/chat/internal/room"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`host:port` to listen on")
	url := flag.String("nats", "nats://127.0.0.1:4222", "`URLs` of NATS servers, separated by commas")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *url, *loops); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr, url string, loops int) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	broker := &nats.Broker{URL: url, Prefix: "chat", KeepMessages: 100, KeepAge: time.Hour}
	hub := &topic.Hub{Broker: broker}
	ln, err := eng.Listen("tcp", addr, room.New(hub).Accept)
	if err != nil {
		return err
	}
	// What was published goes out before the process ends.
	eng.OnShutdown(func(ctx context.Context) {
		hub.Close()
		if err := broker.Close(ctx); err != nil {
			log.Print(err)
		}
	})
	fmt.Printf("chat: listening on %v, open http://%v/\n", ln, ln)
	return eng.Run(ctx)
}
