package websocket_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// A backend that blocks: each question is asked by a goroutine, and the answer is sent by the
// Handle.
func ExampleHandle() {
	backend := func(question string) string { // a database, say
		time.Sleep(time.Millisecond)
		return strings.ToUpper(question)
	}
	url, stop := serve((&websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			handle, question := c.Handle(), string(data) // data is the loop's: copy what you keep
			go func() {
				// an error means that the connection has closed
				handle.Send(op, []byte(backend(question)))
			}()
		},
	}).Accept)
	defer stop()

	fmt.Println(ask(url, nil, "hello"))
	// Output: [HELLO] <nil>
}

// room is a set of connections, on any loops.
type room struct {
	mu      sync.Mutex
	members []websocket.Handle
}

func (r *room) join(h websocket.Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = append(r.members, h)
}

func (r *room) leave(h websocket.Handle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = slices.DeleteFunc(r.members, func(m websocket.Handle) bool { return m == h })
}

// say sends a message to everybody: it is encoded once. A member that does not keep up misses it.
func (r *room) say(op websocket.Opcode, data []byte) {
	message := websocket.Prepare(op, data)
	r.mu.Lock()
	defer r.mu.Unlock()
	websocket.Broadcast(message, slices.Values(r.members), engine.SlowDropNewest)
}

// A room: everybody gets what anybody says.
func ExampleBroadcast() {
	var r room
	url, stop := serve((&websocket.Server{
		Open:    func(c *websocket.Conn) { r.join(c.Handle()) },
		Message: func(_ *websocket.Conn, op websocket.Opcode, data []byte) { r.say(op, data) },
		Close:   func(c *websocket.Conn, _ error) { r.leave(c.Handle()) },
	}).Accept)
	defer stop()

	ctx := context.Background()
	var guests []*wsconn.Conn
	for range 3 {
		c, err := wsconn.Dial(ctx, url, nil)
		if err != nil {
			log.Fatal(err)
		}
		defer c.CloseNow()
		c.Write(ctx, wsconn.Text, []byte("hello"))
		c.Read(ctx) // so that this one is in the room
		guests = append(guests, c)
	}
	guests[2].Write(ctx, wsconn.Text, []byte("good night"))
	for _, c := range guests {
		for text := ""; text != "good night"; {
			_, data, err := c.Read(ctx)
			if err != nil {
				log.Fatal(err)
			}
			text = string(data)
		}
		fmt.Println("good night")
	}
	// Output:
	// good night
	// good night
	// good night
}

// A goroutine that produces faster than the peer takes it waits in SendWait, and ends with the
// connection.
func ExampleHandle_SendWait() {
	ended := make(chan error, 1)
	url, stop := serve((&websocket.Server{
		Open: func(c *websocket.Conn) {
			handle := c.Handle()
			go func() {
				for i := 0; ; i++ {
					if err := handle.SendWait(context.Background(), websocket.Text,
						fmt.Appendf(nil, "tick %d", i)); err != nil {
						ended <- err
						return
					}
				}
			}()
		},
	}).Accept)
	defer stop()

	ctx := context.Background()
	c, err := wsconn.Dial(ctx, url, nil)
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		_, data, err := c.Read(ctx)
		fmt.Println(string(data), err)
	}
	c.CloseNow()
	fmt.Println(<-ended)
	// Output:
	// tick 0 <nil>
	// tick 1 <nil>
	// tick 2 <nil>
	// engine: closed
}

// A web terminal: a program whose input and output are a connection. Both directions wait for each
// other's slower end.
func ExampleConn_Stream() {
	// a shell with its terminal, say
	program := func(in io.Reader, out io.Writer) { io.Copy(out, in) }
	url, stop := serve((&websocket.Server{
		Open: func(c *websocket.Conn) {
			stream := c.Stream(websocket.Binary)
			go func() {
				defer stream.Close()
				program(stream, stream)
			}()
		},
	}).Accept)
	defer stop()

	fmt.Println(ask(url, nil, "ls", "exit"))
	// Output: [ls exit] <nil>
}

// A graceful stop: clients get code 1001, and Run returns when all connections have ended.
func Example_gracefulStop() {
	opened, closed := make(chan bool, 1), make(chan error, 1)
	server := &websocket.Server{
		Open:  func(*websocket.Conn) { opened <- true },
		Close: func(_ *websocket.Conn, err error) { closed <- err },
	}
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		log.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background()) // signal.NotifyContext in a program
	done := make(chan error)
	go func() { done <- eng.Run(ctx) }()

	c, err := wsconn.Dial(context.Background(), "ws://"+ln.String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	<-opened
	stop()
	_, _, err = c.Read(context.Background())
	fmt.Println("client:", wsconn.CloseStatus(err))
	fmt.Println("server:", <-closed)
	fmt.Println("Run:", <-done)
	// Output:
	// client: 1001
	// server: websocket: closed with code 1001, answered with code 1001
	// Run: <nil>
}

// What is certain about callbacks: Close is called once for each Open, after all other calls, and
// never without an Open. What Handshake has made is told of every end by the connection's context.
func ExampleServer() {
	var mu sync.Mutex
	var calls []string
	say := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, s)
	}
	done := make(chan bool)
	url, stop := serve((&websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			context.AfterFunc(h.Conn.Context(), func() {
				say("released")
				done <- true
			})
			say("Handshake of " + string(h.Raw.Path))
			if string(h.Raw.Path) != "/chat" {
				h.Refuse(404, "not found\n")
			}
		},
		Open:    func(*websocket.Conn) { say("Open") },
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { say("Message"); c.Send(op, data) },
		Close:   func(*websocket.Conn, error) { say("Close") },
		Refused: func(r websocket.Refusal) { say(fmt.Sprint("Refused ", r.Status)) },
	}).Accept)
	defer stop()

	ask(url+"/chat", nil, "hello")
	<-done
	ask(url+"/elsewhere", nil, "hello")
	<-done
	i := slices.Index(calls, "released") // by a goroutine of its own: about when Close is called
	calls = slices.Delete(calls, i, i+1)
	fmt.Println(strings.Join(calls, "\n"))
	// Output:
	// Handshake of /chat
	// Open
	// Message
	// Close
	// Handshake of /elsewhere
	// Refused 404
	// released
}
