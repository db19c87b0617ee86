package gnet_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/gnet"
)

// The five tests of this file do what gnet's public examples do.

func TestEchoServer(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		reasons := make(chan error, 1)
		s := f.serve(t, &handler{
			open: func(c gnet.Conn) ([]byte, gnet.Action) {
				return []byte("hello " + c.RemoteAddr().String() + "\n"), gnet.None
			},
			traffic: echo,
			closed: func(_ gnet.Conn, err error) gnet.Action {
				reasons <- err
				return gnet.None
			},
		}, []string{"tcp://127.0.0.1:0"}, gnet.WithMulticore(true))
		p := s.dial()
		p.expect("hello " + p.LocalAddr().String() + "\n")
		p.send("one")
		p.expect("one")
		go io.WriteString(p, large)
		p.expect(large)
		if n := s.CountConnections(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		p.Close()
		if err, _ := receive(t, reasons); !errors.Is(err, io.EOF) {
			t.Errorf("OnClose got %v, want io.EOF", err)
		}
		until(t, "no connection", func() bool { return s.CountConnections() == 0 })
	})
}

// A message of this protocol is a magic number, the length of the body in four bytes, and the body.
const magic, headerSize = 0x1314, 6

func message(body string) string {
	b := binary.BigEndian.AppendUint16(nil, magic)
	return string(binary.BigEndian.AppendUint32(b, uint32(len(body)))) + body
}

var errMagic = errors.New("wrong magic number")

// next takes a message from the input. It returns io.ErrShortBuffer if there is none yet.
func next(c gnet.Conn) (string, error) {
	header, err := c.Peek(headerSize)
	if err != nil {
		return "", err
	}
	if binary.BigEndian.Uint16(header) != magic {
		return "", errMagic
	}
	size := headerSize + int(binary.BigEndian.Uint32(header[2:]))
	whole, err := c.Peek(size)
	if err != nil {
		return "", err
	}
	body := string(whole[headerSize:])
	_, err = c.Discard(size)
	return body, err
}

func TestLengthPrefixedProtocol(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		s := f.serve(t, &handler{traffic: func(c gnet.Conn) gnet.Action {
			var answers [][]byte
			for {
				body, err := next(c)
				if err == io.ErrShortBuffer {
					break
				}
				if err != nil {
					return gnet.Close
				}
				answers = append(answers, []byte(message(strings.ToUpper(body))))
			}
			if n := len(answers); n > 1 {
				c.Writev(answers)
			} else if n == 1 {
				c.Write(answers[0])
			}
			return gnet.None
		}}, []string{"tcp://127.0.0.1:0"})
		p := s.dial()
		p.send(message("first") + message("second"))
		p.expect(message("FIRST") + message("SECOND"))
		for _, b := range message("slow") {
			p.send(string(byte(b)))
		}
		p.expect(message("SLOW"))
		p.send(message(large[:300_000]) + message("")[:3])
		p.expect(message(strings.ToUpper(large[:300_000])))
		p.send(message("")[3:])
		p.expect(message(""))
		p.send("no message")
		p.expectEnd("")
	})
}

func TestDatagramsAndUnixSockets(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		for _, network := range []string{"udp", "unix"} {
			t.Run(network, func(t *testing.T) {
				addr := "udp://127.0.0.1:0"
				if network == "unix" {
					addr = "unix://" + socketPath(t)
				}
				s := f.serve(t, &handler{traffic: func(c gnet.Conn) gnet.Action {
					b, _ := c.Next(-1)
					c.Write(fmt.Appendf(nil, "%s %s", c.LocalAddr().Network(), b))
					return gnet.None
				}}, []string{addr})
				p := s.dialUnnamed(addr)
				for _, text := range []string{"a", "some", "datagrams"} {
					p.send(text)
					p.expect(network + " " + text)
				}
			})
		}
	})
}

// dialUnnamed is dial, also for a unix socket.
func (s *server) dialUnnamed(addr string) *peer {
	s.t.Helper()
	if path, ok := strings.CutPrefix(addr, "unix://"); ok {
		return dial(s.t, &net.UnixAddr{Name: path, Net: "unix"})
	}
	return s.dial()
}

func TestClient(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		for _, addr := range []string{"tcp://127.0.0.1:0", "udp://127.0.0.1:0", "unix://"} {
			network, _, _ := strings.Cut(addr, ":")
			t.Run(network, func(t *testing.T) {
				if network == "unix" {
					addr += socketPath(t)
				}
				s := f.serve(t, &handler{traffic: echo}, []string{addr})
				to := strings.TrimPrefix(addr, "unix://")
				if network != "unix" {
					to = s.addr().String()
				}
				got, closed := make(chan string, 10), make(chan any, 1)
				cl, err := f.client(&handler{
					open: func(c gnet.Conn) ([]byte, gnet.Action) {
						got <- fmt.Sprint("open ", c.Context())
						return []byte("greeting"), gnet.None
					},
					traffic: func(c gnet.Conn) gnet.Action {
						b, _ := c.Next(-1)
						got <- string(b)
						return gnet.None
					},
					closed: func(c gnet.Conn, _ error) gnet.Action {
						closed <- c.Context()
						return gnet.None
					},
				})
				if err == nil {
					err = cl.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				defer cl.Stop()
				c, err := cl.DialContext(network, to, 7)
				if err != nil {
					t.Fatal(err)
				}
				if a := c.RemoteAddr().String(); a != to {
					t.Errorf("the peer is %v, want %v", a, to)
				}
				if err := c.AsyncWrite([]byte("text"), nil); err != nil {
					t.Error(err)
				}
				text := "open 7"
				for text != "open 7greetingtext" {
					if s, _ := receive(t, got); s != "open 7" {
						text += s
					}
				}
				c.Close()
				if v, _ := receive(t, closed); v != 7 {
					t.Errorf("the context is %v", v)
				}
				if _, err := cl.Dial("tcp", "127.0.0.1:1"); err == nil {
					t.Error("connected to nobody")
				}
			})
		}
	})
}

func TestTicker(t *testing.T) {
	both(t, func(t *testing.T, f framework) {
		var conns sync.Map
		var told []string
		var mu sync.Mutex
		tell := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, s)
		}
		ticks := 0
		opened := make(chan bool, 1)
		s := f.serve(t, &handler{
			open: func(c gnet.Conn) ([]byte, gnet.Action) {
				conns.Store(c, true)
				opened <- true
				return nil, gnet.None
			},
			closed: func(c gnet.Conn, err error) gnet.Action {
				tell(fmt.Sprint("closed ", err))
				return gnet.None
			},
			tick: func() (time.Duration, gnet.Action) {
				select {
				case v := <-opened:
					opened <- v
				default:
					return time.Millisecond, gnet.None
				}
				if ticks++; ticks == 4 {
					return time.Millisecond, gnet.Shutdown
				}
				conns.Range(func(c, _ any) bool {
					c.(gnet.Conn).AsyncWrite(fmt.Appendf(nil, "tick %d\n", ticks), nil)
					return true
				})
				return time.Millisecond, gnet.None
			},
			shutdown: func() { tell("shutdown") },
		}, []string{"tcp://127.0.0.1:0"}, gnet.WithTicker(true))
		p := s.dial()
		p.expectEnd("tick 1\ntick 2\ntick 3\n")
		p.Close()
		s.awaitEnd()
		mu.Lock()
		defer mu.Unlock()
		if len(told) != 2 || !(told[0] == "closed <nil>" || told[1] == "closed <nil>") {
			t.Errorf("told %q, want shutdown and closed <nil>", told)
		}
	})
}
