// Command net is an echo and broadcast server of plain TCP, by package net alone: a goroutine for each connection.
//
// A buffer begins with 4 KiB and doubles, up to 64 KiB, whenever a read has filled it: small messages do not pay for large ones in
// memory, nor large ones for small ones in system calls.
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
				room.Each(func(to *net.TCPConn) { to.Write(b) }) // an error is told to whoever reads
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
