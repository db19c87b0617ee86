package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
)

// remote is a program with clients, which is asked by lines on its standard input. See
// testdata/node/remote.js.
type remote struct {
	stdin io.Writer
	mu    sync.Mutex
	last  int // number of a connection or a question
	asked map[int]chan remoteReply
}

// remoteClient is a client there.
type remoteClient struct {
	*remote
	conn int
}

type remoteAsk struct {
	ID   int    `json:"id"`
	Conn int    `json:"conn"`
	Do   string `json:"do"`
	Text bool   `json:"text,omitempty"`
	Data []byte `json:"data"`
	Code int    `json:"code"`

	URL     string         `json:"url,omitempty"`
	Options map[string]any `json:"options,omitempty"`
}

type remoteReply struct {
	ID         int
	Error      string
	Text       bool
	Data       []byte
	Closed     int
	Protocol   string
	Extensions string
}

// startRemote starts such a program.
func startRemote(t *testing.T, cmd *exec.Cmd) *remote {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r := &remote{stdin: in, asked: make(map[int]chan remoteReply)}
	child(t, cmd)
	t.Cleanup(func() { in.Close() })
	go r.replies(out)
	return r
}

// dial returns a function that opens a connection. It must be compressed if compress is true, and
// only then.
func (r *remote) dial(options map[string]any, compress bool) func(*testing.T, string) client {
	return func(t *testing.T, url string) client {
		t.Helper()
		r.mu.Lock()
		r.last++
		c := remoteClient{r, r.last}
		r.mu.Unlock()
		opened, err := c.ask(remoteAsk{Do: "open", URL: url, Options: options})
		if err != nil {
			t.Fatal(err)
		}
		if opened.Protocol != subprotocol || strings.Contains(opened.Extensions, "permessage-deflate") != compress {
			t.Errorf("subprotocol %q, extensions %q", opened.Protocol, opened.Extensions)
		}
		return c
	}
}

func (r *remote) replies(out io.Reader) {
	decode := json.NewDecoder(bufio.NewReader(out))
	for {
		var reply remoteReply
		err := decode.Decode(&reply)
		r.mu.Lock()
		if err != nil {
			for _, asked := range r.asked {
				close(asked)
			}
			r.asked = nil
			r.mu.Unlock()
			return
		}
		r.asked[reply.ID] <- reply
		delete(r.asked, reply.ID)
		r.mu.Unlock()
	}
}

func (c remoteClient) ask(ask remoteAsk) (remoteReply, error) {
	replied := make(chan remoteReply, 1)
	c.mu.Lock()
	if c.asked == nil {
		c.mu.Unlock()
		return remoteReply{}, errors.New("the program has ended")
	}
	c.last++
	ask.ID, ask.Conn = c.last, c.conn
	c.asked[ask.ID] = replied
	line, err := json.Marshal(ask)
	if err == nil {
		_, err = c.stdin.Write(append(line, '\n'))
	}
	c.mu.Unlock()
	if err != nil {
		return remoteReply{}, err
	}
	select {
	case reply, ok := <-replied:
		switch {
		case !ok:
			return reply, errors.New("the program has ended")
		case reply.Error != "":
			return reply, errors.New(reply.Error)
		}
		return reply, nil
	case <-time.After(patience):
		return remoteReply{}, context.DeadlineExceeded
	}
}

func (c remoteClient) send(text bool, b []byte) error {
	_, err := c.ask(remoteAsk{Do: "send", Text: text, Data: b})
	return err
}

func (c remoteClient) receive() (text bool, b []byte, err error) {
	reply, err := c.ask(remoteAsk{Do: "receive"})
	if err == nil && reply.Closed != 0 {
		err = &websocket.CloseError{Code: websocket.CloseCode(reply.Closed)}
	}
	return reply.Text, reply.Data, err
}

func (c remoteClient) ping() error {
	const want = "are you there?"
	reply, err := c.ask(remoteAsk{Do: "ping", Data: []byte(want)})
	if err == nil && string(reply.Data) != want {
		err = fmt.Errorf("pong %q", reply.Data)
	}
	return err
}

func (c remoteClient) close(code int) (int, error) {
	reply, err := c.ask(remoteAsk{Do: "close", Code: code})
	return reply.Closed, err
}

// remoteServer starts a program that says on its first line where it listens.
func remoteServer(t *testing.T, cmd *exec.Cmd) (address string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child(t, cmd)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ = strings.Cut(strings.TrimSpace(line), " listening on ")
	return address
}

// node is a script of testdata/node, for node.
func node(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	path, folder := program(t, "node"), filepath.Join("testdata", "node")
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		missing(t, "no npm packages in "+folder)
	}
	cmd := exec.Command(path, append([]string{script}, args...)...)
	cmd.Dir = folder
	return cmd
}

// websockets is a script of testdata/python, for a python that has the package websockets.
func websockets(t *testing.T, script string, args ...string) *exec.Cmd {
	t.Helper()
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import websockets").Run() == nil {
			return exec.Command(python, append([]string{filepath.Join("testdata", "python", script)}, args...)...)
		}
	}
	missing(t, "no python3-websockets on this machine")
	return nil
}

// checkRemoteClient has a program's clients talk to a server of ours.
func checkRemoteClient(t *testing.T, dial func(t *testing.T, url string) client, url string, codes []int) {
	t.Helper()
	talk(t, dial(t, url))
	obey(t, dial(t, url))
	checkCodes(t, dial, url, codes)
}

// checkRemoteServer has our clients talk to a program's server.
func checkRemoteServer(t *testing.T, url string, codes []int) {
	t.Helper()
	e := loops(t)
	deflate := &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}
	for name, dial := range map[string]func(*testing.T, string) client{
		"loop": dialLoop(e, nil), "wsconn": dialWsconn(nil),
		"loop deflate": dialLoop(e, deflate), "wsconn deflate": dialWsconn(deflate),
	} {
		t.Run(name, func(t *testing.T) {
			talk(t, dial(t, url))
			obey(t, dial(t, url))
			checkCodes(t, dial, url, codes)
		})
	}
}
