package socket

import (
	"encoding/binary"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// peer parses a sockaddr:
//
//	sockaddr_in   family:2 port:2 addr:4
//	sockaddr_in6  family:2 port:2 flow:4 addr:16 scope:4
//	sockaddr_un   family:2 path
func (d *datagrams) peer(p *driver.Peer, name []byte) {
	*p = driver.Peer{}
	if len(name) < 2 {
		return
	}
	switch binary.NativeEndian.Uint16(name) {
	case unix.AF_INET:
		p.AddrPort = netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), binary.BigEndian.Uint16(name[2:]))
	case unix.AF_INET6:
		addr := netip.AddrFrom16([16]byte(name[8:24])).Unmap()
		if scope := binary.NativeEndian.Uint32(name[24:]); scope != 0 && addr.Is6() {
			addr = addr.WithZone(strconv.Itoa(int(scope)))
		}
		p.AddrPort = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(name[2:]))
	case unix.AF_UNIX:
		path := name[2:]
		known, ok := d.paths[string(path)]
		if !ok {
			if d.paths == nil || len(d.paths) >= 4096 {
				d.paths = make(map[string]string)
			}
			known = pathOf(path)
			d.paths[string(path)] = known
		}
		p.Path = known
	}
}

// pathOf returns the path that the kernel tells. A name in the abstract namespace begins with a
// zero there, and with "@" here: a file whose relative path begins with that gets another path.
func pathOf(b []byte) string {
	switch {
	case len(b) > 1 && b[0] == 0:
		return "@" + string(b[1:])
	case len(b) > 0 && b[0] == '@':
		return "./" + unix.ByteSliceToString(b)
	}
	return unix.ByteSliceToString(b)
}

// fill is the reverse of datagrams.peer. It returns the length, 0 if the socket cannot reach p.
func (a *address) fill(p *driver.Peer, inet6 bool) int {
	addr := p.Addr()
	switch {
	case !addr.IsValid():
		if len(p.Path) == 0 || len(p.Path) > len(a)-3 {
			return 0
		}
		binary.NativeEndian.PutUint16(a[:], unix.AF_UNIX)
		n := 2 + copy(a[2:], p.Path)
		if abstract(p.Path) { // a zero behind it would be part of the name
			a[2] = 0
			return n
		}
		a[n] = 0
		return n + 1
	case inet6:
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
		binary.BigEndian.PutUint16(a[2:], p.Port())
		binary.NativeEndian.PutUint32(a[4:], 0)
		*(*[16]byte)(a[8:]) = addr.As16()
		scope := uint32(0)
		if zone := addr.Zone(); zone != "" {
			var err error
			if scope, err = zoneID(zone); err != nil {
				return 0
			}
		}
		binary.NativeEndian.PutUint32(a[24:], scope)
		return unix.SizeofSockaddrInet6
	case addr.Is4() || addr.Is4In6():
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET)
		binary.BigEndian.PutUint16(a[2:], p.Port())
		*(*[4]byte)(a[4:]) = addr.As4()
		clear(a[8:16])
		return unix.SizeofSockaddrInet4
	}
	return 0
}
