package socket

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

const (
	batch = 64 // datagrams per system call

	// The first bytes of each datagram are received into a small slot, the rest into a large one.
	// 64 small datagrams then take eight pages instead of 64, and their beginnings are not all in
	// the same set of a cache.
	//
	//	small   | 512 bytes | 512 bytes | ...
	//	large   | room for these 512, the rest | ...
	small = 512
	slot  = maxDatagram + 64

	// Limits of what is sent as one. maxSegments is UDP_MAX_SEGMENTS of the kernel. maxSegment is
	// what every link takes in practice (RFC 9000 section 14.1 has the 1200): the kernel refuses
	// segments above the route's MTU.
	maxSegments = 64
	maxSegment  = 1200
	maxJoined   = 65000

	// afterEIO is how many datagrams are sent one by one after EIO: the device, or the route,
	// cannot send segments. It costs one failed call in so many if that never changes.
	afterEIO = 4096
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

// datagrams has the memory for recvmmsg(2) and sendmmsg(2) of one loop. The zero value is ready to
// use. The first call allocates 4 MiB of address space, of which only what arrives is touched.
type datagrams struct {
	in, out *vectors
	pieces  [batch][2]unix.Iovec // of in
	buf     []byte               // the large slots
	dense   []byte               // the small ones
	batch   [batch]driver.Datagram
	paths   map[string]string // of unix peers: a known peer costs no allocation
	single  int               // datagrams that are still sent one by one: see Send
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

// Receive implements driver.Sockets.
func (d *datagrams) Receive(fd int) ([]driver.Datagram, error) {
	if d.in == nil {
		d.in, d.buf, d.dense = newVectors(), make([]byte, batch*slot), make([]byte, batch*small)
		for i := range d.pieces {
			p := &d.pieces[i]
			p[0].Base, p[1].Base = &d.dense[i*small], &d.buf[i*slot+small]
			p[0].SetLen(small)
			p[1].SetLen(maxDatagram - small)
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

// segment returns the size that UDP_GRO reports, 0 if the kernel has joined nothing.
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

// Send implements driver.Sockets. Datagrams of the same size to the same peer, one behind the other
// in memory, are passed to the kernel as one (UDP_SEGMENT of udp(7)), which then goes through its
// layers once for all of them. If the kernel refuses these, they are sent one by one, which shows
// which of them it refuses. The reason may be the peer, such as one with port 0 or behind a link
// with a small MTU, so others are joined as before.
func (d *datagrams) Send(fd int, inet6 bool, all []driver.Datagram) (sent int, err error) {
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
			alone := k-sent < d.single
			v.counts[n] = join(&v.hdrs[n].hdr, &v.iovs[n], &v.controls[n], all[k:], alone)
			k += v.counts[n]
		}
		if n == 0 {
			return sent, unix.EAFNOSUPPORT
		}
		took, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&v.hdrs[0])),
			uintptr(n),
			unix.MSG_DONTWAIT, 0, 0)
		for i := range v.iovs[:n] {
			v.iovs[i].Base = nil // the driver must not keep the caller's memory alive
		}
		switch {
		case errno == 0:
			for _, c := range v.counts[:took] {
				sent += c
				d.single = max(d.single-c, 0)
			}
		case errno == unix.EINTR:
		case v.counts[0] > 1 && errno != unix.EAGAIN && errno != unix.ENOBUFS:
			if d.single = v.counts[0]; errno == unix.EIO {
				d.single = afterEIO
			}
		default:
			if errno != unix.EAGAIN {
				d.single = max(d.single-1, 0)
			}
			return sent, errno
		}
	}
	return sent, nil
}

// join makes one message of the first datagrams of all, or of the first one. It returns how many
// these are.
func join(h *unix.Msghdr, iov *unix.Iovec, c *control, all []driver.Datagram, alone bool) (n int) {
	first := &all[0]
	size := len(first.Data)
	total := size
	n = 1
	// A unix socket, whose peer has no AddrPort, would ignore the control message.
	if !alone && size > 0 && size <= maxSegment && first.Peer.IsValid() {
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

// follows reports whether b is total bytes behind the beginning of first, in the same memory.
func follows(first []byte, total int, b []byte) bool {
	return cap(first) >= total+len(b) && unsafe.SliceData(first[:total+1][total:]) == unsafe.SliceData(b)
}

func cmsg(kind int32, size int) (h unix.Cmsghdr) {
	h.Level, h.Type = unix.IPPROTO_UDP, kind
	h.SetLen(unix.CmsgLen(size))
	return h
}
