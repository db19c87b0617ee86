package websocket_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestShutdownWhileAHandlerUsesTLS: a client with TLS that reads nothing, or whose Handler takes
// long, kept Shutdown from returning, for as long as it liked.
func TestShutdownWhileAHandlerUsesTLS(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	for _, c := range []struct {
		name   string
		handle func(http.ResponseWriter)
	}{
		{name: "reads nothing", handle: func(w http.ResponseWriter) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}},
		{name: "takes long", handle: func(http.ResponseWriter) { <-end }},
	} {
		t.Run(c.name, func(t *testing.T) {
			begun := make(chan bool, 1)
			s := &websocket.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				begun <- true
				c.handle(w)
			})}
			server := startTLS(t, s, engine.ListenConfig{})
			server.connect(t, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			<-begun
			ended := make(chan error, 1)
			go func() { ended <- server.eng.Shutdown(t.Context()) }()
			select {
			case err := <-ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(patience):
				t.Error("Shutdown does not return")
			}
		})
	}
}
