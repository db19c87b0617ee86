package main

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// acknowledgeAtOnce has TCP acknowledge at once what comes over loopback, by an attribute of the route (RTAX_QUICKACK; busybox's ip does
// not know it). Otherwise acknowledgements wait for 40 ms, hundreds of thousands of them for the same moment; an emulated processor
// needs longer for them than senders wait before they send again, and memory fills with what is sent twice.
func acknowledgeAtOnce() error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	if err := netlink(loopbackRoute(uint32(lo.Index))); err != nil {
		return fmt.Errorf("route of loopback: %w", err)
	}
	return nil
}

// loopbackRoute is the message that replaces the route which the kernel makes for 127.0.0.0/8: rtnetlink(7).
func loopbackRoute(lo uint32) []byte {
	const quickAck = 15 // RTAX_QUICKACK
	number := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	body := []byte{unix.AF_INET, 8, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_KERNEL, unix.RT_SCOPE_HOST, unix.RTN_LOCAL, 0, 0, 0, 0}
	body = appendAttribute(body, unix.RTA_DST, []byte{127, 0, 0, 0})
	body = appendAttribute(body, unix.RTA_PREFSRC, []byte{127, 0, 0, 1})
	body = appendAttribute(body, unix.RTA_OIF, number(lo))
	body = appendAttribute(body, unix.RTA_METRICS, appendAttribute(nil, quickAck, number(1)))

	const flags = unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	b := number(uint32(unix.NLMSG_HDRLEN + len(body)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWROUTE)
	b = binary.NativeEndian.AppendUint16(b, flags)
	return append(append(b, make([]byte, 8)...), body...)
}

// appendAttribute appends an attribute whose value is a multiple of four bytes.
func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)
}

// netlink sends a request to the kernel and waits for its answer, which is an error number.
func netlink(request []byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.NLMSG_HDRLEN+4 {
		return unix.EBADMSG
	}
	if errno := -int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); errno != 0 {
		return unix.Errno(errno)
	}
	return nil
}
