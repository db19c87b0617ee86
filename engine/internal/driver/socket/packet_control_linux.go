package socket

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control is room for the control messages of one datagram: UDP_GRO or UDP_SEGMENT, in_pktinfo of
// ip(7) and in6_pktinfo of ipv6(7). A dual-stack socket gets both of the latter for IPv4.
type control [96]byte

const (
	pktinfo4 = 12 // ifindex:4 spec_dst:4 addr:4
	pktinfo6 = 20 // addr:16 ifindex:4
)

// askLocal asks for the local address of each datagram, if the socket is bound to the unspecified
// address.
func askLocal(fd int, bound unix.Sockaddr) {
	switch sa := bound.(type) {
	case *unix.SockaddrInet4:
		if sa.Addr == [4]byte{} {
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
		}
	case *unix.SockaddrInet6:
		if sa.Addr == [16]byte{} {
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1) // for peers of IPv4
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		}
	}
}

// parse returns what the kernel reports about a datagram in n bytes: the size of those that it has
// joined, 0 if it has joined none, and the address of ours to answer from.
func (c *control) parse(n int) (segment int, local netip.Addr) {
	for at := 0; at+unix.SizeofCmsghdr <= n; {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&c[at]))
		size := int(h.Len)
		if size < unix.SizeofCmsghdr || at+size > n {
			break
		}
		data := c[at+unix.SizeofCmsghdr : at+size]
		switch {
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			segment = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= pktinfo4:
			// ipi_addr can be a group or a broadcast, ipi_spec_dst is an address of ours
			if a := netip.AddrFrom4([4]byte(data[4:])); !a.IsUnspecified() {
				local = a
			}
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= pktinfo6:
			if !local.IsValid() {
				local = local6(data)
			}
		}
		at += unix.CmsgSpace(len(data))
	}
	return segment, local
}

// local6 returns the address of an in6_pktinfo, none if it is a group.
func local6(data []byte) netip.Addr {
	a := netip.AddrFrom16([16]byte(data)).Unmap()
	switch {
	case a.IsMulticast() || a.IsUnspecified():
		return netip.Addr{}
	case a.Is6() && a.IsLinkLocalUnicast():
		return a.WithZone(strconv.Itoa(int(binary.NativeEndian.Uint32(data[16:]))))
	}
	return a
}

// appendLocal makes the kernel send from the address a. It returns where the next control message
// begins.
func (c *control) appendLocal(at int, a netip.Addr) int {
	if a = a.Unmap(); a.Is4() {
		data, next := c.append(at, unix.IPPROTO_IP, unix.IP_PKTINFO, pktinfo4)
		*(*[4]byte)(data[4:]) = a.As4()
		return next
	}
	data, next := c.append(at, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, pktinfo6)
	*(*[16]byte)(data) = a.As16()
	if zone := a.Zone(); zone != "" {
		if scope, err := zoneID(zone); err == nil {
			binary.NativeEndian.PutUint32(data[16:], scope)
		}
	}
	return next
}

// appendSegment makes the kernel cut the datagram into some of this size.
func (c *control) appendSegment(at, size int) int {
	data, next := c.append(at, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(data, uint16(size))
	return next
}

// append begins a control message. data is zero.
func (c *control) append(at int, level, kind int32, size int) (data []byte, next int) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c[at]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	data = c[at+unix.SizeofCmsghdr : at+unix.CmsgLen(size)]
	clear(data)
	return data, at + unix.CmsgSpace(size)
}
