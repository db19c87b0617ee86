//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// How a bare program gives connections away: as an engine does.
const (
	bareBatch  = 128
	bareState  = 64   // bytes of a connection's state
	bareNumber = 5000 // connections: both ends and the new copy are in one process
	bareAck    = 44   // bytes of an acknowledgement
)

// bare makes the system calls of a handover, and nothing else: what a handover costs at least.
type bare struct {
	conns    []int  // servers' ends
	from, to int    // epoll sets
	pair     [2]int // a unix socket
	state    []byte
	oob      []byte
	last     []int // clients' ends
}

// measureFloor measures what the system calls of handovers cost. One thread does those of both
// processes.
func measureFloor(o options, out io.Writer) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	b := &bare{state: make([]byte, bareBatch*bareState), oob: make([]byte, unix.CmsgSpace(4*bareBatch))}
	defer b.close()
	if err := b.open(); err != nil {
		return err
	}
	var before, after unix.Rusage
	begin := time.Now()
	unix.Getrusage(unix.RUSAGE_THREAD, &before)
	for range o.handovers {
		for first := 0; first < len(b.conns); first += bareBatch {
			if err := b.move(b.conns[first:min(first+bareBatch, len(b.conns))]); err != nil {
				return err
			}
		}
		b.from, b.to = b.to, b.from
	}
	unix.Getrusage(unix.RUSAGE_THREAD, &after)
	us := func(d int64) float64 { return float64(d) / float64(o.handovers*len(b.conns)) / 1000 }
	fmt.Fprintf(out, "The system calls alone, %d times %d connections: %.2f us user, %.2f us system, "+
		"%.2f us in all\n\n",
		o.handovers, len(b.conns), us(after.Utime.Nano()-before.Utime.Nano()),
		us(after.Stime.Nano()-before.Stime.Nano()),
		us(time.Since(begin).Nanoseconds()))
	return nil
}

// open opens the connections and registers them in one of the epoll sets.
func (b *bare) open() (err error) {
	if b.pair, err = unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
		return err
	}
	for _, set := range []*int{&b.from, &b.to} {
		if *set, err = unix.EpollCreate1(0); err != nil {
			return err
		}
	}
	ln, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return err
	}
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		return err
	}
	defer f.Close()
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: ln.Addr().(*net.TCPAddr).Port}
	for range bareNumber {
		client, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		b.last = append(b.last, client)
		if err = unix.Connect(client, at); err != nil {
			return err
		}
		fd, _, err := unix.Accept4(int(f.Fd()), unix.SOCK_NONBLOCK)
		if err != nil {
			return err
		}
		b.conns = append(b.conns, fd)
		if err := register(b.from, fd); err != nil {
			return err
		}
	}
	return nil
}

func register(set, fd int) error {
	return unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// move moves a batch, whose descriptors it replaces by the new ones.
func (b *bare) move(batch []int) error {
	for _, fd := range batch {
		if err := unix.EpollCtl(b.from, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
			return err
		}
	}
	if _, err := unix.SendmsgN(b.pair[0], b.state, unix.UnixRights(batch...), nil, 0); err != nil {
		return err
	}
	n, oobn, _, _, err := unix.Recvmsg(b.pair[1], b.state, b.oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n != len(b.state) {
		return errors.Join(err, errors.New("a part of a batch is missing"))
	}
	if _, err := unix.Write(b.pair[1], b.state[:bareAck]); err != nil {
		return err
	}
	if _, err := unix.Read(b.pair[0], b.state[:bareAck]); err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(b.oob[:oobn])
	if err != nil {
		return err
	}
	came, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	for i, fd := range batch {
		unix.Close(fd)
		batch[i] = came[i]
	}
	for _, fd := range batch {
		if err := register(b.to, fd); err != nil {
			return err
		}
	}
	return nil
}

func (b *bare) close() {
	for _, fd := range append(append(b.conns, b.last...), b.from, b.to, b.pair[0], b.pair[1]) {
		unix.Close(fd)
	}
}
