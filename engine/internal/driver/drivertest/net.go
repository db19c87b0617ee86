package drivertest

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// dialNet is the Dial for the sockets of a kernel: its Peers are connections of package net.
func dialNet(t *testing.T, _ driver.Backend, network, address string) Peer {
	t.Helper()
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		t.Fatal("dial:", err)
	}
	if err := c.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	return netPeer{c}
}

type netPeer struct{ net.Conn }

func (p netPeer) Send(b []byte) error {
	_, err := p.Write(b)
	return err
}

func (p netPeer) Recv(b []byte) (int, error) { return p.Read(b) }

func (p netPeer) CloseWrite() error {
	return p.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (p netPeer) Reset() error {
	if err := p.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		return err
	}
	return p.Close()
}

func (p netPeer) Addr() netip.AddrPort {
	if a, ok := p.LocalAddr().(*net.TCPAddr); ok {
		return netip.AddrPortFrom(a.AddrPort().Addr().Unmap(), a.AddrPort().Port())
	}
	return netip.AddrPort{}
}

// recvAll receives exactly n bytes.
func recvAll(p Peer, n int) ([]byte, error) {
	b := make([]byte, n)
	for at := 0; at < n; {
		k, err := p.Recv(b[at:])
		if err != nil {
			return b[:at], err
		}
		at += k
	}
	return b, nil
}

// recvRest receives until the end and returns how it ended: nil for a FIN.
func recvRest(p Peer) ([]byte, error) {
	var all []byte
	b := make([]byte, 64<<10)
	for {
		n, err := p.Recv(b)
		all = append(all, b[:n]...)
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// isReset reports whether err is what a RST gives.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
