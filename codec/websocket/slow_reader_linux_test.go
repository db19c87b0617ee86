package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// slowLimits of the short test are much shorter than a slow reader needs.
var slowLimits = struct {
	engine engine.Config
	ws     websocket.Limits
}{
	engine.Config{Loops: 1, Linger: 300 * time.Millisecond},
	websocket.Limits{CloseTimeout: 300 * time.Millisecond, MaxMessage: 1 << 30},
}

// pacedConn reads so many bytes per second, and nothing more after so many, until given up.
type pacedConn struct {
	net.Conn
	rate, most int
	given      <-chan struct{}
	begin      time.Time
	n          int
}

func (p *pacedConn) Read(b []byte) (int, error) {
	if p.begin.IsZero() {
		p.begin = time.Now()
	}
	if p.n >= p.most {
		<-p.given
		return 0, io.EOF
	}
	time.Sleep(time.Until(p.begin.Add(time.Duration(p.n) * time.Second / time.Duration(p.rate))))
	n, err := p.Conn.Read(b[:min(len(b), max(p.rate/100, 1))])
	p.n += n
	return n, err
}

// slowCase is a sender: it sends size bytes to a reader that gets nc, and then closes. It returns
// what its end said.
type slowCase struct {
	name string
	send func(s *slowPair) error
	read func(s *slowPair, nc net.Conn) (n int64, err error)
}

// slowPair is one sender and its reader.
type slowPair struct {
	eng     *engine.Engine
	limits  websocket.Limits
	payload []byte
	ln      net.Listener
	dial    chan string // where the reader dials, if it does
}

var slowCases = []slowCase{
	{"plain TCP", sendTCP, readTCP},
	{"server", sendByServer, readByClient},
	{"client", sendByClient, readByServer},
	{"wsconn server", sendByWsconnServer, readByClient},
	{"wsconn client", sendByWsconnClient, readByServer},
}

type sink struct{ ended chan<- error }

func (sink) Feed(b []byte) (int, error) { return len(b), nil }
func (s sink) Closed(err error)         { s.ended <- err }

func sendTCP(s *slowPair) error {
	ended := make(chan error, 1)
	ln, err := s.eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		c.Write(s.payload)
		c.Close()
		return sink{ended}
	})
	if err != nil {
		return err
	}
	s.dial <- ln.String()
	return <-ended
}

func readTCP(_ *slowPair, nc net.Conn) (int64, error) { return io.Copy(io.Discard, nc) }

func sendByServer(s *slowPair) error {
	ended := make(chan error, 1)
	server := &websocket.Server{
		Limits: s.limits,
		Open:   func(c *websocket.Conn) { c.Send(websocket.Binary, s.payload); c.Close(1000, "") },
		Close:  func(_ *websocket.Conn, err error) { ended <- err },
	}
	ln, err := s.eng.Listen("tcp", "127.0.0.1:0", server.Accept)
	if err != nil {
		return err
	}
	s.dial <- ln.String()
	return inOrder(<-ended)
}

func sendByClient(s *slowPair) error {
	ended := make(chan error, 1)
	client := &websocket.Client{Limits: s.limits, Close: func(_ *websocket.Conn, err error) { ended <- err }}
	err := client.Dial(context.Background(), s.eng, "ws://"+s.ln.Addr().String(), func(c *websocket.Conn, err error) {
		if err != nil {
			ended <- err
			return
		}
		c.Send(websocket.Binary, s.payload)
		c.Close(1000, "")
	})
	if err != nil {
		return err
	}
	return inOrder(<-ended)
}

func sendByWsconnServer(s *slowPair) error {
	s.dial <- s.ln.Addr().String()
	nc, err := s.ln.Accept()
	if err != nil {
		return err
	}
	c, err := wsconn.Server(context.Background(), nc, &wsconn.Config{Limits: s.limits})
	return s.sendAndClose(c, err)
}

func sendByWsconnClient(s *slowPair) error {
	c, err := wsconn.Dial(context.Background(), "ws://"+s.ln.Addr().String(), &wsconn.Config{Limits: s.limits})
	return s.sendAndClose(c, err)
}

func (s *slowPair) sendAndClose(c *wsconn.Conn, err error) error {
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if err := c.Write(ctx, wsconn.Binary, s.payload); err != nil {
		return err
	}
	return c.Close(1000, "")
}

func readByClient(s *slowPair, nc net.Conn) (int64, error) {
	c, err := wsconn.Client(context.Background(), nc, "ws://x/", &wsconn.Config{Limits: s.limits})
	return readMessage(c, err)
}

func readByServer(s *slowPair, nc net.Conn) (int64, error) {
	c, err := wsconn.Server(context.Background(), nc, &wsconn.Config{Limits: s.limits})
	return readMessage(c, err)
}

func readMessage(c *wsconn.Conn, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	defer c.CloseNow()
	_, r, err := c.Reader(context.Background())
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, r)
	if err != nil {
		return n, err
	}
	_, _, err = c.Read(context.Background())
	return n, inOrder(err)
}

// inOrder returns nil for the end of a closing handshake with code 1000.
func inOrder(err error) error {
	if e, ok := errors.AsType[*websocket.CloseError](err); ok && e.Code == 1000 {
		return nil
	}
	if e, ok := errors.AsType[*wsconn.CloseError](err); ok && e.Code == 1000 {
		return nil
	}
	return fmt.Errorf("it did not end in order: %w", err)
}

// run lets the sender send to a reader. It returns how much arrived, and how both ended.
func (c slowCase) run(eng *engine.Engine, limits websocket.Limits, payload []byte, rate, most int) (
	n int64, sent, received error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err, nil
	}
	defer ln.Close()
	s := &slowPair{eng, limits, payload, ln, make(chan string, 1)}
	ended := make(chan error, 1)
	go func() { ended <- c.send(s) }()
	var nc net.Conn
	if c.name == "client" || c.name == "wsconn client" {
		nc, err = ln.Accept()
	} else {
		nc, err = net.Dial("tcp", <-s.dial)
	}
	if err != nil {
		return 0, nil, err
	}
	defer nc.Close()
	read, given := make(chan error, 1), make(chan struct{})
	go func() {
		k, err := c.read(s, &pacedConn{Conn: nc, rate: rate, most: most, given: given})
		n = k
		nc.Close()
		read <- err
	}()
	sent = <-ended
	close(given)
	received = <-read
	return n, sent, received
}

// TestSlowReaderGetsEverythingBeforeAClose: a message, then Close, to a peer that reads steadily,
// but takes many times as long as Linger and CloseTimeout are.
func TestSlowReaderGetsEverythingBeforeAClose(t *testing.T) {
	eng := running(t, slowLimits.engine)
	payload := make([]byte, 6<<20)
	for _, c := range slowCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, sent, received := c.run(eng, slowLimits.ws, payload, 3<<20, math.MaxInt)
			if n != int64(len(payload)) || sent != nil || received != nil {
				t.Errorf("%d of %d bytes came; the sender: %v; the reader: %v", n, len(payload), sent, received)
			}
		})
	}
}

// TestReaderThatStopsIsCut in a time that Linger and CloseTimeout bound.
func TestReaderThatStopsIsCut(t *testing.T) {
	eng := running(t, slowLimits.engine)
	payload := make([]byte, 16<<20)
	for _, c := range slowCases[:3] { // the others wait in Write, as long as ctx says
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err, _ := c.run(eng, slowLimits.ws, payload, 100<<20, 1<<20)
			if err == nil {
				t.Error("no error")
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it was cut after %v", took)
			}
		})
	}
}

// TestFiftySlowReaders is TestSlowReaderGetsEverythingBeforeAClose with the default limits, and 2
// to 100 MiB for 5 to 20 s. It takes minutes, so it wants to be asked for, with the number of runs:
//
//	MYRIAD_SLOW_READERS=50 go test ./codec/websocket -run TestFiftySlowReaders -v -timeout 30m
func TestFiftySlowReaders(t *testing.T) {
	runs, _ := strconv.Atoi(os.Getenv("MYRIAD_SLOW_READERS"))
	if runs == 0 {
		t.Skip("MYRIAD_SLOW_READERS is not set")
	}
	eng := running(t, engine.Config{Loops: 2, MaxBuffered: -1})
	payload := make([]byte, 100<<20)
	limits := websocket.Limits{MaxMessage: 1 << 30}
	for _, c := range slowCases {
		var wg sync.WaitGroup
		whole, slowest := make(chan time.Duration, runs), time.Duration(0)
		busy := make(chan bool, 25)
		for i := range runs {
			// Sizes from 2 to 100 MiB and times from 5 to 20 s, at 200 KB/s to 20 MB/s.
			f := float64(i) / float64(max(runs-1, 1))
			size := int(2 * math.Pow(50, f) * (1 << 20))
			takes := 5 + 5*float64(i%4)
			rate := max(int(float64(size)/takes), 200_000)
			wg.Go(func() {
				busy <- true
				defer func() { <-busy }()
				begin := time.Now()
				n, sent, received := c.run(eng, limits, payload[:size], rate, math.MaxInt)
				if n != int64(size) || sent != nil || received != nil {
					t.Errorf("%s: %d of %d bytes came at %d/s; the sender: %v; the reader: %v",
						c.name, n, size, rate, sent, received)
					return
				}
				whole <- time.Since(begin)
			})
		}
		wg.Wait()
		close(whole)
		n := len(whole)
		for took := range whole {
			slowest = max(slowest, took)
		}
		t.Logf("%s: %d of %d came whole and ended in order, the slowest in %v", c.name, n, runs,
			slowest.Round(100*time.Millisecond))
	}
}
