package main

import (
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"syscall"

	"github.com/myriadnet/myriad/engine"
)

// This file has what systemd wants to know: see sd_notify(3). Without NOTIFY_SOCKET it does
// nothing.

// notify tells systemd about this process.
func notify(state string) { send([]byte(state), nil) }

// notifyMain tells systemd that another process is the service from now on.
func notifyMain(pid int) { notify(fmt.Sprintf("MAINPID=%d", pid)) }

// notifyStore gives systemd the listening socket to keep, in the place of the one before. If all
// processes die, the next one that systemd starts has it, and nobody was refused meanwhile.
func notifyStore(ln *engine.Listener) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	f, err := ln.File()
	if err != nil {
		log.Print(err)
		return
	}
	defer f.Close()
	raw, err := f.SyscallConn() // Fd would make the socket block, which is the engine's too
	if err != nil {
		log.Print(err)
		return
	}
	notify("FDSTOREREMOVE=1\nFDNAME=listener")
	raw.Control(func(fd uintptr) {
		send([]byte("FDSTORE=1\nFDNAME=listener\nFDPOLL=0"), syscall.UnixRights(int(fd)))
	})
}

func send(state, rights []byte) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if err := sendTo(path, state, rights); err != nil {
		log.Print("systemd: ", err)
	}
}

// sendTo sends a datagram with descriptors. UnixConn.WriteMsgUnix refuses a socket that is
// connected.
func sendTo(path string, state, rights []byte) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) (done bool) {
		sent = syscall.Sendmsg(int(fd), state, rights, nil, 0)
		return sent != syscall.EAGAIN
	})
	return errors.Join(err, sent)
}
