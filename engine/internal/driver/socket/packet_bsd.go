//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package socket

import (
	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// datagrams receives and sends one at a time: these systems have no common calls for batches.
type datagrams struct {
	buf   []byte
	batch [1]driver.Datagram
}

func coalesce(fd int) {}

// askLocal does nothing. What these systems have differs: IP_RECVDSTADDR with IP_SENDSRCADDR, or
// IP_PKTINFO.
func askLocal(fd int, bound unix.Sockaddr) {}

// Receive implements driver.Sockets.
func (d *datagrams) Receive(fd int) ([]driver.Datagram, error) {
	if d.buf == nil {
		d.buf = make([]byte, maxDatagram+1) // one more shows that a datagram is cut off
	}
	for {
		n, from, err := unix.Recvfrom(fd, d.buf, unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n > maxDatagram {
			return nil, unix.EMSGSIZE
		}
		d.batch[0] = driver.Datagram{Data: d.buf[:n:n], Peer: driver.Peer{AddrPort: addrPort(from)}}
		if u, ok := from.(*unix.SockaddrUnix); ok {
			d.batch[0].Peer.Path = u.Name
		}
		return d.batch[:], nil
	}
}

// Send implements driver.Sockets.
func (d *datagrams) Send(fd int, inet6 bool, batch []driver.Datagram) (int, error) {
	for i, g := range batch {
		var to unix.Sockaddr
		switch a := g.Peer.Addr(); {
		case !a.IsValid():
			to = &unix.SockaddrUnix{Name: g.Peer.Path}
		case !inet6:
			if !a.Unmap().Is4() {
				return i, unix.EAFNOSUPPORT
			}
			to = &unix.SockaddrInet4{Addr: a.Unmap().As4(), Port: int(g.Peer.Port())}
		default:
			zone, err := zoneID(a.Zone())
			if err != nil {
				return i, unix.EINVAL
			}
			to = &unix.SockaddrInet6{Addr: a.As16(), Port: int(g.Peer.Port()), ZoneId: zone}
		}
		err := unix.Sendto(fd, g.Data, unix.MSG_DONTWAIT, to)
		for err == unix.EINTR {
			err = unix.Sendto(fd, g.Data, unix.MSG_DONTWAIT, to)
		}
		if err != nil {
			return i, err
		}
	}
	return len(batch), nil
}
