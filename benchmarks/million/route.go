package main

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// acknowledgeAtOnce disables delayed acknowledgements on loopback, by an attribute of the route
// (RTAX_QUICKACK, which busybox's ip does not support). Otherwise hundreds of thousands of
// acknowledgements wait for the same moment 40 ms later. An emulated processor needs longer for
// them than senders wait before they retransmit, and memory fills with retransmitted data.
func acknowledgeAtOnce() error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	if err := netlink(loopbackRoute(uint32(lo.Index))); err != nil {
		return fmt.Errorf("changing the route of loopback: %w", err)
	}
	return nil
}

// loopbackRoute returns the message that replaces the kernel's route for 127.0.0.0/8: rtnetlink(7).
func loopbackRoute(lo uint32) []byte {
	const quickAck = 15 // RTAX_QUICKACK
	number := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	body := []byte{
		unix.AF_INET, 8, 0, 0, unix.RT_TABLE_LOCAL, unix.RTPROT_KERNEL, unix.RT_SCOPE_HOST, unix.RTN_LOCAL,
		0, 0, 0, 0,
	}
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

// appendAttribute appends an attribute. The value must be a multiple of four bytes.
func appendAttribute(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	return append(b, value...)
}

// netlink sends a request to the kernel and returns its answer, an error number.
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
