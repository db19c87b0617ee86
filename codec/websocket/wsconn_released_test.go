package websocket_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// TestWriteOverTLSThatALoopHasBegun: when the context of a Write ends, a Conn of package wsconn
// over the TLS of package tlslayer is closed at once. It waited 5 s for a peer that takes nothing,
// to tell it of the end.
func TestWriteOverTLSThatALoopHasBegun(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificateFor("localhost")}}
	layer, err := tlslayer.New(tlslayer.Config{TLS: config})
	if err != nil {
		t.Fatal(err)
	}
	const limit = 200 * time.Millisecond
	ends, took := make(chan error, 1), make(chan time.Duration, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, nil)
		if err != nil {
			ends <- err
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		begun := time.Now()
		for err == nil {
			err = c.Write(ctx, wsconn.Binary, make([]byte, 1<<20))
		}
		ends <- err
		took <- time.Since(begun)
	})
	small := engine.ListenConfig{WriteBuffer: 4 << 10} // what is left of a record must not fit in
	for _, test := range []struct {
		name  string
		serve func(*engine.Engine) net.Addr
	}{
		{"Layer.Listen", func(e *engine.Engine) net.Addr {
			ln, err := layer.Listen(e, small, "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &http.Server{Handler: handler}
			go s.Serve(ln)
			t.Cleanup(func() { s.Close() })
			return ln.Addr()
		}},
		{"Mux.Handler", func(e *engine.Engine) net.Addr {
			m, lc := &websocket.Mux{Handler: handler}, small
			lc.Layer = layer.Server()
			ln, err := lc.Listen(e, "tcp", "127.0.0.1:0", m.Accept)
			if err != nil {
				t.Fatal(err)
			}
			return net.TCPAddrFromAddrPort(ln.Addr())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := running(t, engine.Config{})
			nc, err := net.Dial("tcp", test.serve(e).String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.(*net.TCPConn).SetReadBuffer(4 << 10)
			io.WriteString(tls.Client(nc, &tls.Config{InsecureSkipVerify: true}), openingRequest("/"))
			if err := receive(t, "end of Write", ends); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if d := receive(t, "time of Write", took); d > limit+3*time.Second {
				t.Errorf("Write has taken %v", d)
			}
		})
	}
}
