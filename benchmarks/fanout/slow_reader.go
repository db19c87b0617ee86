//go:build linux

package main

import (
	"context"
	"net"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"
)

// dialSlow opens the slow subscriber. It buffers about one message of the given size, as one behind
// a slow network: what waits for it waits on the server.
func dialSlow(addr string, size int) (*websocket.Conn, error) {
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, size) })
		return err
	}}
	conn, _, err := (&websocket.Dialer{NetDialContext: d.DialContext, ReadBufferSize: size}).
		Dial("ws://"+addr+slowPath, nil)
	return conn, err
}

// readSlowly reads a message per period until ctx ends, and returns their ages in ms.
func readSlowly(ctx context.Context, conn *websocket.Conn, period time.Duration) (ages []float64) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Now()) })
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			return ages
		}
		age, _ := next(data)
		ages = append(ages, age.Seconds()*1e3)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ages
		}
	}
}
