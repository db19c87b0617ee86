package differential

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gorilla/websocket"

	"github.com/myriadnet/myriad/wsproto/handshake"
)

// subprotocols are those of all servers.
var subprotocols = []string{"chat", "mqtt"}

// verdict is what a server makes of a request.
type verdict struct {
	Status   int // 101: accepted; 0: no answer
	Host     string
	Target   string
	Protocol string
	reason   string // ours, for a refusal
}

func (v verdict) accepted() bool { return v.Status == 101 }

// judgeOurs is what Server, Upgrade and wsconn have in common.
func judgeOurs(text string) verdict {
	var r handshake.Request
	n, err := handshake.ParseRequest([]byte(text), nil, &r, nil)
	if n == 0 && err == nil {
		return verdict{reason: "incomplete"}
	}
	index := -1
	if err == nil {
		_, err = r.CheckUpgrade()
	}
	if err == nil {
		err = r.CheckOrigin(nil)
	}
	if err == nil {
		index, err = r.Subprotocol(subprotocols)
	}
	if err != nil {
		e := err.(*handshake.Error)
		reason, _, _ := strings.Cut(e.Text, ": ") // what follows is of this request
		return verdict{Status: e.Status, reason: reason}
	}
	v := verdict{Status: 101, Host: string(r.Host), Target: string(r.Target)}
	if index >= 0 {
		v.Protocol = subprotocols[index]
	}
	return v
}

func judgeGobwas(text string) (v verdict) {
	u := ws.Upgrader{
		ReadBufferSize: 32 << 10,
		OnHost:         func(b []byte) error { v.Host = string(b); return nil },
		OnRequest:      func(b []byte) error { v.Target = string(b); return nil },
		Protocol:       func(b []byte) bool { return string(b) == "chat" || string(b) == "mqtt" },
	}
	var out bytes.Buffer
	h, err := u.Upgrade(struct {
		io.Reader
		io.Writer
	}{strings.NewReader(text), &out})
	if v.Status, v.Protocol = 101, h.Protocol; err != nil {
		v.Status = 400
	}
	return v
}

// memory is a connection whose peer has sent its request. The first Write is the answer.
type memory struct {
	wire
	once   sync.Once
	answer chan verdict
	host   string
	target string
}

func (m *memory) decide(b []byte) {
	m.once.Do(func() {
		v := verdict{Host: m.host, Target: m.target}
		if r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil); err == nil {
			v.Status, v.Protocol = r.StatusCode, r.Header.Get("Sec-WebSocket-Protocol")
		}
		m.answer <- v
	})
}

func (m *memory) Write(b []byte) (int, error) { m.decide(b); return len(b), nil }
func (m *memory) Close() error                { m.decide(nil); return nil }
func (m *memory) RemoteAddr() net.Addr        { return &net.TCPAddr{} }
func (m *memory) LocalAddr() net.Addr         { return &net.TCPAddr{} }

// pipeListener accepts what it is given.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (pipeListener) Close() error   { return nil }
func (pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

type memoryKey struct{}

// judgeByHTTP returns what net/http's server makes of a request whose handler is upgrade.
func judgeByHTTP(t *testing.T, upgrade func(http.ResponseWriter, *http.Request)) func(text string) verdict {
	l := make(pipeListener)
	server := http.Server{
		ErrorLog: log.New(io.Discard, "", 0),
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx,
				memoryKey{}, c)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m := r.Context().Value(memoryKey{}).(*memory)
			m.host, m.target = r.Host, r.RequestURI
			upgrade(w, r)
		}),
	}
	go server.Serve(l)
	t.Cleanup(func() { close(l) })
	return func(text string) verdict {
		m := &memory{wire: wire{in: bytes.NewReader([]byte(text))}, answer: make(chan verdict, 1)}
		l <- m
		return <-m.answer
	}
}

func upgradeGorilla(w http.ResponseWriter, r *http.Request) {
	u := websocket.Upgrader{Subprotocols: subprotocols}
	u.Upgrade(w, r, nil)
}

func upgradeCoder(w http.ResponseWriter, r *http.Request) {
	coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: subprotocols})
}

// judgeNode gives all requests to node's ws, in one process. It returns nil, and why, where that
// cannot be had.
func judgeNode(t *testing.T, texts []string) (verdicts []verdict, why string) {
	path, err := exec.LookPath("node")
	if err != nil {
		return nil, err.Error()
	}
	packages, err := filepath.Abs("../testdata/node/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(packages); err != nil {
		return nil, err.Error()
	}
	node := exec.Command(path, "testdata/ws/server.js")
	node.Env = append(os.Environ(), "NODE_PATH="+packages)
	node.Stderr = os.Stderr
	in, _ := node.StdinPipe()
	out, _ := node.StdoutPipe()
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(5*time.Minute, func() { node.Process.Kill() })
	defer stuck.Stop()
	go func() {
		w := bufio.NewWriter(in)
		for _, text := range texts {
			w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(text))))
			w.WriteString(text)
		}
		w.Flush()
		in.Close()
	}()
	decode := json.NewDecoder(bufio.NewReader(out))
	for range texts {
		var v verdict
		if err := decode.Decode(&v); err != nil {
			t.Fatalf("node, after %d of %d requests: %v", len(verdicts), len(texts), err)
		}
		verdicts = append(verdicts, v)
	}
	if err := node.Wait(); err != nil {
		t.Error(err)
	}
	return verdicts, ""
}
