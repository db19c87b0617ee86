package socket

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

const (
	batch = 64 // datagrams per system call

	// The first bytes of each datagram are received into a small slot, the rest into a large one: so 64 small datagrams lie
	// on eight pages and not on 64, and their beginnings do not all fall into the same set of a cache.
	//
	//	small   | 512 bytes | 512 bytes | ...
	//	large   | room for these 512, the rest | ...
	small = 512
	slot  = MaxDatagram + 64

	// maxSegments and maxSegment bound what is sent as one: UDP_MAX_SEGMENTS of the kernel, and what fits through every
	// link in practice (RFC 9000 section 14.1 has the 1200), since the kernel refuses segments that the route's MTU does not hold.
	maxSegments = 64
	maxSegment  = 1200
	maxJoined   = 65000
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// address is room for a sockaddr_in, _in6 or _un.
type address [unix.SizeofSockaddrUnix + 2]byte

// control is room for one control message with an int.
type control [32]byte

// Datagrams is what recvmmsg(2) and sendmmsg(2) of one loop work with. The zero value is ready to use; memory comes with the
// first call, 4 MiB of address space of which only what arrives is touched.
type Datagrams struct {
	in, out *vectors
	pieces  [batch][2]unix.Iovec // of in
	buf     []byte               // the large slots
	dense   []byte               // the small ones
	batch   [batch]driver.Datagram
	paths   map[string]string // of unix peers: a peer that is known costs no allocation
	alone   bool              // the kernel does not take several datagrams as one
}

// vectors are the arguments of one system call.
type vectors struct {
	hdrs     [batch]mmsghdr
	iovs     [batch]unix.Iovec
	names    [batch]address
	controls [batch]control
	counts   [batch]int // datagrams that message i stands for
}

func newVectors() *vectors {
	v := new(vectors)
	for i := range v.hdrs {
		h := &v.hdrs[i].hdr
		h.Name = &v.names[i][0]
		h.Iov = &v.iovs[i]
		h.SetIovlen(1)
		h.Control = &v.controls[i][0]
	}
	return v
}

// coalesce sets UDP_GRO of udp(7), if the kernel has it.
func coalesce(fd int) { unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) }

// Receive implements driver.Driver.
func (d *Datagrams) Receive(fd int) ([]driver.Datagram, error) {
	if d.in == nil {
		d.in, d.buf, d.dense = newVectors(), make([]byte, batch*slot), make([]byte, batch*small)
		for i := range d.pieces {
			p := &d.pieces[i]
			p[0].Base, p[1].Base = &d.dense[i*small], &d.buf[i*slot+small]
			p[0].SetLen(small)
			p[1].SetLen(MaxDatagram - small)
			d.in.hdrs[i].hdr.Iov = &p[0]
			d.in.hdrs[i].hdr.SetIovlen(2)
		}
	}
	v := d.in
	for i := range v.hdrs {
		v.hdrs[i].hdr.Namelen = uint32(len(v.names[i]))
		v.hdrs[i].hdr.SetControllen(len(v.controls[i]))
	}
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&v.hdrs[0])), batch,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			for i := range int(n) {
				h := &v.hdrs[i]
				size := int(h.n)
				data := d.dense[i*small : i*small+min(size, small) : i*small+small]
				if size > small {
					whole := d.buf[i*slot : i*slot+size]
					copy(whole, data)
					data = whole
				}
				d.batch[i].Data = data[:size:size]
				d.batch[i].Segment = v.controls[i].segment(int(h.hdr.Controllen))
				d.peer(&d.batch[i].Peer, v.names[i][:h.hdr.Namelen])
			}
			return d.batch[:n], nil
		case unix.EINTR:
		default:
			return nil, errno
		}
	}
}

// segment is the size that UDP_GRO tells of, 0 if the kernel has joined nothing.
func (c *control) segment(n int) int {
	if n < unix.SizeofCmsghdr+4 {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(c))
	if h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO {
		return 0
	}
	return int(binary.NativeEndian.Uint32(c[unix.SizeofCmsghdr:]))
}

// peer parses a sockaddr:
//
//	sockaddr_in   family:2 port:2 addr:4
//	sockaddr_in6  family:2 port:2 flow:4 addr:16 scope:4
//	sockaddr_un   family:2 path
func (d *Datagrams) peer(p *driver.Peer, name []byte) {
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
		if n := len(path); n > 0 && path[n-1] == 0 {
			path = path[:n-1]
		}
		known, ok := d.paths[string(path)]
		if !ok {
			if d.paths == nil || len(d.paths) >= 4096 {
				d.paths = make(map[string]string)
			}
			known = string(path)
			d.paths[known] = known
		}
		p.Path = known
	}
}

// fill is the reverse of Datagrams.peer. It returns the length, 0 if the socket cannot reach p.
func (a *address) fill(p *driver.Peer, inet6 bool) int {
	addr := p.Addr()
	switch {
	case !addr.IsValid():
		if len(p.Path) == 0 || len(p.Path) > len(a)-3 {
			return 0
		}
		binary.NativeEndian.PutUint16(a[:], unix.AF_UNIX)
		n := 2 + copy(a[2:], p.Path)
		a[n] = 0
		return n + 1
	case inet6:
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
		binary.BigEndian.PutUint16(a[2:], p.Port())
		binary.NativeEndian.PutUint32(a[4:], 0)
		*(*[16]byte)(a[8:]) = addr.As16()
		scope := uint32(0)
		if zone := addr.Zone(); zone != "" {
			scope, _ = zoneID(zone)
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

// Send implements driver.Driver. Datagrams of the same size to the same peer, one behind the other in memory, are given to
// the kernel as one (UDP_SEGMENT of udp(7)): it then goes through its layers once for all of them.
func (d *Datagrams) Send(fd int, inet6 bool, all []driver.Datagram) (sent int, err error) {
	if d.out == nil {
		d.out = newVectors()
	}
	v := d.out
	for sent < len(all) {
		n, k := 0, sent
		for ; n < batch && k < len(all); n++ {
			size := v.names[n].fill(&all[k].Peer, inet6)
			if size == 0 {
				break
			}
			v.hdrs[n].hdr.Namelen = uint32(size)
			v.counts[n] = d.join(&v.hdrs[n].hdr, &v.iovs[n], &v.controls[n], all[k:])
			k += v.counts[n]
		}
		if n == 0 {
			return sent, unix.EAFNOSUPPORT
		}
		took, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&v.hdrs[0])), uintptr(n),
			unix.MSG_DONTWAIT, 0, 0)
		for i := range v.iovs[:n] {
			v.iovs[i].Base = nil // the driver must not keep the caller's memory alive
		}
		switch {
		case errno == 0:
			for _, c := range v.counts[:took] {
				sent += c
			}
		case errno == unix.EINTR:
		case v.counts[0] > 1 && errno != unix.EAGAIN && errno != unix.ENOBUFS: // a kernel or device that cannot do that
			d.alone = true
		default:
			return sent, errno
		}
	}
	return sent, nil
}

// join makes one message of the first datagrams of all, and says of how many.
func (d *Datagrams) join(h *unix.Msghdr, iov *unix.Iovec, c *control, all []driver.Datagram) (n int) {
	first := &all[0]
	size := len(first.Data)
	total := size
	n = 1
	if !d.alone && size > 0 && size <= maxSegment && first.Peer.IsValid() { // a unix socket would ignore the control message
		for n < len(all) && n < maxSegments && total+size <= maxJoined {
			g := &all[n]
			if len(g.Data) == 0 || len(g.Data) > size || g.Peer != first.Peer || !follows(first.Data, total, g.Data) {
				break
			}
			total += len(g.Data)
			n++
			if len(g.Data) < size { // only the last one may be shorter
				break
			}
		}
	}
	iov.Base = unsafe.SliceData(first.Data)
	iov.SetLen(total)
	if n == 1 {
		h.SetControllen(0)
		return 1
	}
	*(*unix.Cmsghdr)(unsafe.Pointer(c)) = cmsg(unix.UDP_SEGMENT, 2)
	binary.NativeEndian.PutUint16(c[unix.SizeofCmsghdr:], uint16(size))
	h.SetControllen(unix.CmsgSpace(2))
	return n
}

// follows says whether b lies total bytes behind the beginning of first, in the same memory.
func follows(first []byte, total int, b []byte) bool {
	return cap(first) >= total+len(b) && unsafe.SliceData(first[:total+1][total:]) == unsafe.SliceData(b)
}

func cmsg(kind int32, size int) (h unix.Cmsghdr) {
	h.Level, h.Type = unix.IPPROTO_UDP, kind
	h.SetLen(unix.CmsgLen(size))
	return h
}
