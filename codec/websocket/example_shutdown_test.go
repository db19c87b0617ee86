package websocket_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// A stream of events that ends itself when the engine shuts down. Otherwise it would be cut after
// two seconds.
func ExampleServer_eventStream() {
	ending := make(chan struct{})
	server := &websocket.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			ticker := time.NewTicker(time.Millisecond)
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
					io.WriteString(w, "data: tick\n\n")
					http.NewResponseController(w).Flush()
				case <-ending:
					io.WriteString(w, "event: goodbye\n\n")
					return
				case <-r.Context().Done(): // the client has gone away
					return
				}
			}
		}),
	}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		log.Fatal(err)
	}
	eng.OnShutdown(func(context.Context) { close(ending) })
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a program
	done := make(chan error)
	go func() { done <- eng.Run(ctx) }()

	response, err := http.Get("http://" + ln.String() + "/events")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	events := bufio.NewScanner(response.Body)
	events.Scan()
	fmt.Println(events.Text())
	stop()
	last := ""
	for events.Scan() {
		if events.Text() != "" {
			last = events.Text()
		}
	}
	fmt.Println(last, events.Err())
	fmt.Println("Run:", <-done)
	// Output:
	// data: tick
	// event: goodbye <nil>
	// Run: <nil>
}
