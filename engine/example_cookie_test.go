package engine_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine"
)

const (
	cookieSize = 16
	cookieLife = time.Minute
)

// cookies is a PacketProtocol in front of another one. It passes on only datagrams that begin with
// the cookie of their source address, and answers others with it. So sessions are for peers that
// receive what is sent to their address. A forged address makes the server keep nothing, and send
// no more than it has received.
type cookies struct {
	engine.PacketProtocol // the one behind it
	socket                *engine.PacketConn
	key                   []byte
}

func withCookies(accept func(*engine.PacketConn) engine.PacketProtocol) func(*engine.PacketConn) engine.PacketProtocol {
	key := make([]byte, 32)
	rand.Read(key)
	return func(socket *engine.PacketConn) engine.PacketProtocol {
		return &cookies{PacketProtocol: accept(socket), socket: socket, key: key}
	}
}

// cookie returns that of an address. It is valid in its period and the next one.
func (c *cookies) cookie(a engine.PacketAddr, period int64) []byte {
	m := hmac.New(sha256.New, c.key)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(period)))
	m.Write([]byte(a.String()))
	return m.Sum(nil)[:cookieSize]
}

// Datagram implements engine.PacketProtocol.
func (c *cookies) Datagram(from engine.PacketAddr, b []byte) {
	if len(b) < cookieSize {
		return
	}
	period := time.Now().UnixNano() / int64(cookieLife)
	fresh := c.cookie(from, period)
	if hmac.Equal(b[:cookieSize], fresh) || hmac.Equal(b[:cookieSize], c.cookie(from, period-1)) {
		c.PacketProtocol.Datagram(from, b[cookieSize:])
		return
	}
	c.socket.WriteTo(fresh, from)
}

// Shutdown implements engine.Shutdowner.
func (c *cookies) Shutdown() {
	if s, ok := c.PacketProtocol.(engine.Shutdowner); ok {
		s.Shutdown()
	}
}

// A retry cookie keeps peers with forged addresses from taking all sessions. A client begins with
// zeros instead of a cookie, and sends again when it gets one, here and after each minute.
func ExamplePacketProtocol() {
	sessions := engine.SessionConfig{MaxSessions: 1000}
	e, err := engine.New(engine.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	pl, err := e.ListenPacket("udp", "127.0.0.1:0", withCookies(sessions.Accept(
		func(s *engine.Session) engine.SessionProtocol { return greeter{s} })))
	if err != nil {
		log.Fatal(err)
	}
	go e.Run(context.Background())

	c, err := net.Dial("udp", pl.String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	ask := func(cookie []byte) []byte {
		c.Write(append(bytes.Clone(cookie), "world"...))
		b := make([]byte, 100)
		n, err := c.Read(b)
		if err != nil {
			log.Fatal(err)
		}
		return b[:n]
	}
	count := func() int {
		s, err := e.Stats(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		return s.Sessions
	}
	cookie := ask(make([]byte, cookieSize))
	fmt.Println(len(cookie), count())
	fmt.Printf("%s %d\n", ask(cookie), count())
	// Output:
	// 16 0
	// hello, world 1
}

// greeter is a session behind the cookies.
type greeter struct{ s *engine.Session }

func (g greeter) Datagram(b []byte) { g.s.Write(append([]byte("hello, "), b...)) }
func (greeter) Closed(error)        {}
