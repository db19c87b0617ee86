package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// sessions are the users by their cookie.
var sessions = map[string]string{"7f3a": "Ada"}

// with returns a Config of a client that sends a cookie.
func with(session string) *wsconn.Config {
	return &wsconn.Config{Header: http.Header{"Cookie": {"session=" + session}}}
}

// status returns the HTTP status that a client was refused with.
func status(err error) int {
	if refused, ok := errors.AsType[*handshake.Error](err); ok {
		return refused.Status
	}
	return 0
}

// Authentication by a cookie, where the answer is known at once. It takes place before the
// connection is accepted.
func ExampleHandshake() {
	url, stop := serve((&websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			cookie, err := h.Request().Cookie("session")
			if err != nil || sessions[cookie.Value] == "" {
				h.Refuse(http.StatusUnauthorized, "log in first\n")
				return
			}
			h.Conn.Value = sessions[cookie.Value]
		},
		Message: func(c *websocket.Conn, _ websocket.Opcode, data []byte) {
			c.SendText(c.Value.(string) + " says " + string(data))
		},
	}).Accept)
	defer stop()

	fmt.Println(ask(url, with("7f3a"), "hello"))
	_, err := ask(url, with("stolen"), "hello")
	fmt.Println(status(err))
	// Output:
	// [Ada says hello] <nil>
	// 401
}

// Authentication by a look-up that takes time: a goroutine makes it, and the handshake is decided
// when the answer is there. Meanwhile the loop serves others.
func ExampleHandshake_Defer() {
	url, stop := serve((&websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			request, deferred := h.Request(), h.Defer()
			go func() {
				user, err := lookUp(deferred.Context(), request)
				deferred.Decide(func(h *websocket.Handshake) { // on the loop again
					if err != nil {
						h.Refuse(http.StatusUnauthorized, "log in first\n")
						return
					}
					h.Conn.Value = user
				})
			}()
		},
		Message: func(c *websocket.Conn, _ websocket.Opcode, data []byte) {
			c.SendText(c.Value.(string) + " says " + string(data))
		},
	}).Accept)
	defer stop()

	fmt.Println(ask(url, with("7f3a"), "hello"))
	_, err := ask(url, with("stolen"), "hello")
	fmt.Println(status(err))
	// Output:
	// [Ada says hello] <nil>
	// 401
}

type signedIn struct{} // the key of a context

// lookUp is a look-up that takes time: it must not be made on a loop.
func lookUp(ctx context.Context, r *http.Request) (user string, err error) {
	cookie, err := r.Cookie("session")
	if err != nil {
		return "", err
	}
	if user = sessions[cookie.Value]; user == "" {
		return "", errors.New("no such session")
	}
	return user, ctx.Err()
}

// Authentication by a look-up that takes time, in a handler of net/http: middleware may do it, on
// the handler's goroutine. What it has found out reaches the connection by the request's context.
func ExampleServer_Upgrade() {
	server := &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			r := h.Request() // as the handler has it
			h.Conn.Value = fmt.Sprint(r.Context().Value(signedIn{}), " in room ", r.PathValue("room"))
		},
		Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) { c.SendText(c.Value.(string)) },
	}
	eng, stop := run()
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /rooms/{room}", func(w http.ResponseWriter, r *http.Request) {
		user, err := lookUp(r.Context(), r)
		if err != nil {
			http.Error(w, "log in first", http.StatusUnauthorized)
			return
		}
		r = r.WithContext(context.WithValue(r.Context(), signedIn{}, user))
		server.Upgrade(eng, w, r) // has answered in any case, and needs this goroutine no more
	})
	web := httptest.NewServer(mux)
	defer web.Close()
	url := "ws" + strings.TrimPrefix(web.URL, "http") + "/rooms/5"

	fmt.Println(ask(url, with("7f3a"), "who am I?"))
	_, err := ask(url, with("stolen"), "who am I?")
	fmt.Println(status(err))
	// Output:
	// [Ada in room 5] <nil>
	// 401
}

// run runs an engine without a listener.
func run() (eng *engine.Engine, stop func()) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { eng.Run(ctx) })
	return eng, func() {
		cancel()
		running.Wait()
	}
}

// A look-up that takes time, after Open: the connection is accepted, and closed if the answer is
// no. What the client sends meanwhile waits, because it is not read from.
func ExampleConn_Context() {
	url, stop := serve((&websocket.Server{
		Handshake: func(h *websocket.Handshake) { h.Conn.Value = h.Request() },
		Open: func(c *websocket.Conn) {
			c.EngineConn().PauseRead()
			ctx, handle, request := c.Context(), c.Handle(), c.Value.(*http.Request)
			go func() {
				user, err := lookUp(ctx, request) // which ends if the client goes away
				handle.Post(func(c *websocket.Conn) {
					if err != nil {
						c.Close(websocket.PolicyViolation, "log in first")
					}
					c.Value = user
					c.EngineConn().ResumeRead()
				})
			}()
		},
		Message: func(c *websocket.Conn, _ websocket.Opcode, _ []byte) { c.SendText("you are " + c.Value.(string)) },
	}).Accept)
	defer stop()

	fmt.Println(ask(url, with("7f3a"), "who am I?"))
	_, err := ask(url, with("stolen"), "who am I?")
	fmt.Println(wsconn.CloseStatus(err))
	// Output:
	// [you are Ada] <nil>
	// 1008
}
