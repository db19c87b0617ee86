package websocket_test

import (
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// TestRefusedThatDoesNotReturn: a connection that Accept refuses, because its client speaks HTTP/2,
// counted for MaxHandshakes for ever if Refused did not return.
func TestRefusedThatDoesNotReturn(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			s := startTLS(t, &websocket.Server{
				MaxHandshakes: 2, MaxHandshakesPerAddress: -1,
				Refused: func(r websocket.Refusal) {
					if r.Status == http.StatusHTTPVersionNotSupported {
						end()
					}
				},
			}, engine.ListenConfig{}, "h2", "http/1.1")
			for range 3 {
				c := s.connect(t, "", "h2")
				io.ReadAll(c)
				c.Close()
			}
			until(t, "end of all", func() bool {
				stats, err := s.eng.Stats(t.Context())
				return err != nil || stats.Connections == 0
			})
			c := s.connect(t, openingRequest("/", "Host: example.com"), "http/1.1")
			r, err := http.ReadResponse(c.r, nil)
			if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%+v, %v", r, err)
			}
		})
	}
}
