package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// goFirst lets the threads of this process go before other work of the machine. It is refused to
// users other than root.
func goFirst() {
	threads, _ := os.ReadDir("/proc/self/task")
	for _, t := range threads {
		tid, _ := strconv.Atoi(t.Name())
		unix.Setpriority(unix.PRIO_PROCESS, tid, -15)
	}
}

// runTLSServer serves echoes over TLS on one loop, with the layer's default limits, except that all
// attackers have one address.
func runTLSServer() error {
	if err := proc.Pin(0); err != nil {
		return err
	}
	goFirst()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	cert := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: []tls.Certificate{cert}},
		MaxHandshakesPerAddress: -1, Logger: quiet})
	if err != nil {
		return err
	}
	var clock loopClock
	eng, err := engine.New(engine.Config{Loops: 1, BlockedAfter: -1, Logger: quiet,
		Observer: engine.Observer{Worked: clock.worked}})
	if err != nil {
		return err
	}
	eng.Post(0, clock.start)
	s := &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		if string(data) == "loop" {
			data = []byte{0}
		}
		c.Send(op, data)
	}}
	ln, err := engine.ListenConfig{Layer: layer.Server()}.Listen(eng, "tcp", "127.0.0.1:0", s.AcceptWebSocket)
	if err != nil {
		return err
	}
	a := addresses{Echo: ln.String()}
	a.Figures = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		stats, err := eng.Stats(q.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		f := figures{Lags: stats.Lags, Connected: stats.Connections, Handshakes: layer.Stats()}
		f.Computed, f.MostComputed = clock.read()
		if q.URL.Path == "/memory" {
			rest := measure(eng)
			f.Heap, f.Buffered = rest.Heap, rest.Buffered
			debug.FreeOSMemory()
			f.RSS, err = proc.RSS(os.Getpid())
		}
		if err == nil {
			err = json.NewEncoder(w).Encode(f)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})).URL
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return err
	}
	return eng.Run(context.Background())
}
