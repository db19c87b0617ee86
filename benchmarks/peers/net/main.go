// Command net is a TCP echo and broadcast server on package net: a goroutine for each connection.
//
// A buffer has 4 KiB at first, and doubles up to 64 KiB when a read fills it. So small messages
// need little memory, and large ones few system calls.
package main

import (
	"net"

	"github.com/myriadnet/myriad/benchmarks/peers/internal/peer"
)

const maxBuffer = 64 << 10

func main() {
	o := peer.Parse(false)
	var room peer.Room[*net.TCPConn]
	peer.Accept(peer.Listen(o), func(c *net.TCPConn) {
		defer c.Close()
		write := func(b []byte) error { _, err := c.Write(b); return err }
		if o.Broadcast {
			room.Join(c)
			defer room.Leave(c)
			write = func(b []byte) error {
				room.Each(func(to *net.TCPConn) { to.Write(b) }) // its reader sees errors
				return nil
			}
		}
		buf := make([]byte, 4<<10)
		for {
			n, err := c.Read(buf)
			if err != nil || write(buf[:n]) != nil {
				return
			}
			if n == len(buf) && n < maxBuffer {
				buf = make([]byte, 2*n)
			}
		}
	})
}
