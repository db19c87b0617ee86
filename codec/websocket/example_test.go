package websocket_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// serve runs an engine that serves connections by accept, and returns its URL.
func serve(accept func(*engine.Conn) engine.Protocol) (url string, stop func()) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", accept)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- eng.Run(ctx) }()
	return "ws://" + ln.String(), func() {
		cancel()
		<-done
	}
}

// ask opens a connection, sends texts, and returns what comes back: as many messages, or the error.
func ask(url string, config *wsconn.Config, texts ...string) (answers []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := wsconn.Dial(ctx, url, config)
	if err != nil {
		return nil, err
	}
	defer c.CloseNow()
	for _, text := range texts {
		if err := c.Write(ctx, wsconn.Text, []byte(text)); err != nil {
			return answers, err
		}
		_, answer, err := c.Read(ctx)
		if err != nil {
			return answers, err
		}
		answers = append(answers, string(answer))
	}
	return answers, nil
}

// An echo server, on an engine of its own.
func Example() {
	server := &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
	}
	eng, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	// ":8080" for one that others may call
	ln, err := eng.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- eng.Run(ctx) }()

	fmt.Println(ask("ws://"+ln.String(), nil, "hello"))
	stop()
	fmt.Println(<-done)
	// Output:
	// [hello] <nil>
	// <nil>
}

// Several endpoints on one port, and pages beside them.
func ExampleMux() {
	chat := &websocket.Server{Open: func(c *websocket.Conn) { c.SendText("chat") }}
	feed := &websocket.Server{Open: func(c *websocket.Conn) { c.SendText("feed") }}
	mux := &websocket.Mux{
		// exact, and all below
		Servers: map[string]*websocket.Server{"/chat": chat, "/feed/": feed},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "the page "+r.URL.Path)
		}),
	}
	// mux.ListenAndServe(ctx, ":8080") is all that a program needs.
	url, stop := serve(mux.Accept)
	defer stop()

	for _, path := range []string{"/chat", "/feed/news"} {
		c, err := wsconn.Dial(context.Background(), url+path, nil)
		if err != nil {
			log.Fatal(err)
		}
		_, name, err := c.Read(context.Background())
		fmt.Printf("%s %v\n", name, err)
		c.CloseNow()
	}
	response, err := http.Get("http" + strings.TrimPrefix(url, "ws") + "/about")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	fmt.Printf("%s %v\n", page, err)
	// Output:
	// chat <nil>
	// feed <nil>
	// the page /about <nil>
}

// JSON in both directions.
func ExampleHandleJSON() {
	type question struct{ A, B int }
	type answer struct {
		Sum int `json:"sum"`
	}
	url, stop := serve((&websocket.Server{
		Message: websocket.HandleJSON(func(c *websocket.Conn, q question) { c.SendJSON(answer{q.A + q.B}) }),
	}).Accept)
	defer stop()

	fmt.Println(ask(url, nil, `{"a": 1, "b": 2}`))
	_, err := ask(url, nil, `{"a": `)
	fmt.Println(wsconn.CloseStatus(err))
	// Output:
	// [{"sum":3}] <nil>
	// 1007
}

// Why connections end.
func ExampleCloseStatus() {
	reasons := make(chan string, 1)
	url, stop := serve((&websocket.Server{
		Close: func(_ *websocket.Conn, err error) {
			switch websocket.CloseStatus(err) {
			case websocket.NormalClosure, websocket.GoingAway, websocket.NoStatus:
				reasons <- "the client has closed in order"
			case websocket.AbnormalClosure: // there was no Close frame: a timeout, say, or a reset
				reasons <- "the connection was lost"
			default:
				reasons <- "the client has failed: " + err.Error()
			}
		},
	}).Accept)
	defer stop()

	ctx := context.Background()
	for _, end := range []func(*wsconn.Conn){
		func(c *wsconn.Conn) { c.Close(wsconn.NormalClosure, "") },
		func(c *wsconn.Conn) { c.CloseNow() },
		func(c *wsconn.Conn) { c.Close(4000, "out of paper") },
	} {
		c, err := wsconn.Dial(ctx, url, nil)
		if err != nil {
			log.Fatal(err)
		}
		end(c)
		fmt.Println(<-reasons)
	}
	// Output:
	// the client has closed in order
	// the connection was lost
	// the client has failed: websocket: closed by the peer with code 4000 "out of paper"
}
