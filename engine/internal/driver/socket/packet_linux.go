package socket

import (
	"slices"
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

	// afterEIO is how many datagrams of a socket are sent one by one after EIO: its options, the
	// device or the route cannot send segments. It costs one failed call in so many if that never
	// changes.
	afterEIO = 4096
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// address is room for a sockaddr_in, _in6 or _un.
type address [unix.SizeofSockaddrUnix + 2]byte

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
	unable  []unable          // sockets whose datagrams are not joined for a while
}

// unable is a socket that cannot send segments.
type unable struct {
	fd   int
	left int // datagrams that are still sent one by one
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
			p[1].SetLen(maxDatagram - small + 1) // one more shows that a datagram is cut off
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
			whole, err := 0, error(nil)
			for i := range int(n) {
				if v.hdrs[i].n > maxDatagram {
					err = unix.EMSGSIZE
					continue
				}
				d.received(&d.batch[whole], i)
				whole++
			}
			return d.batch[:whole], err
		case unix.EINTR:
		default:
			return nil, errno
		}
	}
}

// received makes g message i of in.
func (d *datagrams) received(g *driver.Datagram, i int) {
	h := &d.in.hdrs[i]
	size := int(h.n)
	data := d.dense[i*small : i*small+min(size, small) : i*small+small]
	if size > small {
		whole := d.buf[i*slot : i*slot+size]
		copy(whole, data)
		data = whole
	}
	g.Data = data[:size:size]
	d.peer(&g.Peer, d.in.names[i][:h.hdr.Namelen])
	g.Segment, g.Peer.Local = d.in.controls[i].parse(int(h.hdr.Controllen))
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
		single := max(d.single, d.unableFor(fd))
		n, k := 0, sent
		for ; n < batch && k < len(all); n++ {
			size := v.names[n].fill(&all[k].Peer, inet6)
			if size == 0 {
				break
			}
			v.hdrs[n].hdr.Namelen = uint32(size)
			alone := k-sent < single
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
			done := 0
			for _, c := range v.counts[:took] {
				done += c
			}
			sent += done
			d.countAlone(fd, done)
		case errno == unix.EINTR:
		case v.counts[0] > 1 && errno != unix.EAGAIN && errno != unix.ENOBUFS:
			d.takeApart(fd, v.counts[0], errno)
		default:
			if errno != unix.EAGAIN {
				d.countAlone(fd, 1)
			}
			return sent, errno
		}
	}
	return sent, nil
}

// takeApart makes Send send one by one what the kernel has refused to send as one.
func (d *datagrams) takeApart(fd, joined int, errno unix.Errno) {
	if d.single = joined; errno == unix.EIO {
		d.unable = append(d.unable, unable{fd, afterEIO})
	}
}

// unableFor returns how many datagrams of a socket are still sent one by one after EIO.
func (d *datagrams) unableFor(fd int) int {
	for _, u := range d.unable {
		if u.fd == fd {
			return u.left
		}
	}
	return 0
}

// countAlone counts datagrams of a socket that are done with.
func (d *datagrams) countAlone(fd, done int) {
	d.single = max(d.single-done, 0)
	for i := range d.unable {
		if u := &d.unable[i]; u.fd == fd {
			if u.left -= done; u.left <= 0 {
				d.unable = slices.Delete(d.unable, i, i+1)
			}
			return
		}
	}
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
	used := 0
	if first.Peer.Local.IsValid() && first.Peer.IsValid() {
		used = c.appendLocal(used, first.Peer.Local)
	}
	if n > 1 {
		used = c.appendSegment(used, size)
	}
	h.SetControllen(used)
	return n
}

// follows reports whether b is total bytes behind the beginning of first, in the same memory.
func follows(first []byte, total int, b []byte) bool {
	return cap(first) >= total+len(b) && unsafe.SliceData(first[:total+1][total:]) == unsafe.SliceData(b)
}
