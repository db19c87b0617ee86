package websocket_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// handlerChild is set in the environment of the process that TestHandlerIsMadeBeforeItEnds starts.
const handlerChild = "MYRIAD_TEST_HANDLER_CHILD"

// The function that ends the Handler's server was registered before that server was made: a data
// race, which a client in the same process hides, as its system calls order the two. So the server
// is a process of its own.
func TestHandlerIsMadeBeforeItEnds(t *testing.T) {
	if os.Getenv(handlerChild) != "" {
		serveOnePage(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), handlerChild+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	printed := bufio.NewScanner(out)
	var addr string
	for addr == "" && printed.Scan() {
		_, addr, _ = strings.Cut(printed.Text(), "address: ")
	}
	if addr == "" {
		t.Fatal("the server has not said where it listens")
	}
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	cmd.Process.Signal(os.Interrupt)
	var rest strings.Builder
	for printed.Scan() {
		fmt.Fprintln(&rest, printed.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, rest.String())
	}
}

// serveOnePage serves a page until it is interrupted. A signal orders nothing, unlike a read.
func serveOnePage(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") })
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := eng.Listen("tcp", "127.0.0.1:0", (&websocket.Server{Handler: page}).Accept)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("address:", ln.Addr())
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	if err := eng.Run(ctx); err != nil {
		t.Fatal(err)
	}
}
