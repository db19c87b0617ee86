package handover

import (
	"encoding/binary"
	"fmt"
)

// kind is a frame's type. What it may have is in shapes.
type kind uint8

const (
	hello    kind = iota + 1 // both: magic, protocol uint16, 2 bytes unused, StateVersion uint32
	listener                 // giver: see appendListener
	listed                   // giver: the secrets
	batch                    // giver: see appendBatch
	done                     // giver: no further batch
	pulse                    // giver: alive
	ready                    // taker: accepts connections
	refused                  // taker: the reason
	ack                      // taker: id uint32, Set of those that are taken
	bye                      // taker: the end
)

// protocol is this version of the frames. The shape of a header and of HELLO are the same in all
// versions, except that HELLO may be longer.
const protocol = 1

const magic = "MYRIADHO"

const (
	headerSize = 8
	helloSize  = len(magic) + 8
	ackSize    = 4 + 8*len(Set{})
	maxReason  = 1 << 10
	maxName    = 255

	batchHead    = 8 // id, stream
	listenerHead = 3 // more, length of network, length of address
)

// shape is what a frame may have.
type shape struct {
	min, max    int  // bytes
	descriptors bool // at least one
}

var shapes = [...]shape{
	hello:    {min: helloSize, max: 1 << 10},
	listener: {min: listenerHead, max: listenerHead + 2*maxName + MaxMeta, descriptors: true},
	listed:   {max: MaxSecrets},
	batch:    {min: batchHead, max: batchHead + 4*MaxDescriptors + MaxState, descriptors: true},
	done:     {},
	pulse:    {},
	ready:    {},
	refused:  {max: maxReason},
	ack:      {min: ackSize, max: ackSize},
	bye:      {},
}

// frame is one that has arrived.
type frame struct {
	kind    kind
	payload []byte // the receiver's
	fds     []int  // the receiver's
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// appendHeader appends the header of a frame: kind, number of descriptors, 2 bytes unused, length
// of the payload. All numbers are little-endian.
func appendHeader(dst []byte, k kind, fds, size int) []byte {
	dst = append(dst, byte(k), byte(fds), 0, 0)
	return binary.LittleEndian.AppendUint32(dst, uint32(size))
}

// parseHeader is the reverse of appendHeader.
func parseHeader(p []byte) (k kind, fds, size int, err error) {
	k, fds = kind(p[0]), int(p[1])
	long := binary.LittleEndian.Uint32(p[4:])
	if k == 0 || int(k) >= len(shapes) {
		return 0, 0, 0, malformed("a frame of the unknown kind %d", k)
	}
	s := shapes[k]
	if int64(long) < int64(s.min) || int64(long) > int64(s.max) {
		return 0, 0, 0, malformed("a frame of kind %d with %d bytes", k, long)
	}
	if fds > MaxDescriptors || s.descriptors != (fds > 0) {
		return 0, 0, 0, malformed("a frame of kind %d with %d descriptors", k, fds)
	}
	return k, fds, int(long), nil
}

func appendHello(dst []byte, version uint32) []byte {
	dst = append(appendHeader(dst, hello, 0, helloSize), magic...)
	dst = binary.LittleEndian.AppendUint16(dst, protocol)
	dst = append(dst, 0, 0)
	return binary.LittleEndian.AppendUint32(dst, version)
}

// parseHello returns the other end's StateVersion.
func parseHello(p []byte) (version uint32, err error) {
	if string(p[:len(magic)]) != magic {
		return 0, malformed("the other end is not a process of Myriad")
	}
	if v := binary.LittleEndian.Uint16(p[len(magic):]); v != protocol {
		return 0, fmt.Errorf("%w: %d, and this one %d", ErrVersion, v, protocol)
	}
	return binary.LittleEndian.Uint32(p[len(magic)+4:]), nil
}

func appendAck(dst []byte, id uint32, taken Set) []byte {
	dst = appendHeader(dst, ack, 0, ackSize)
	dst = binary.LittleEndian.AppendUint32(dst, id)
	for _, word := range taken {
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	return dst
}

func parseAck(p []byte) (id uint32, taken Set) {
	id = binary.LittleEndian.Uint32(p)
	for i := range taken {
		taken[i] = binary.LittleEndian.Uint64(p[4+8*i:])
	}
	return id, taken
}

// appendListener appends a frame with a part of l's descriptors. more says that the next frame has
// further ones: whether there is one (a byte), the lengths of Network and Address (a byte each),
// both, and Meta.
func appendListener(dst []byte, l Listener, fds int, more bool) []byte {
	size := listenerHead + len(l.Network) + len(l.Address) + len(l.Meta)
	dst = appendHeader(dst, listener, fds, size)
	flag := byte(0)
	if more {
		flag = 1
	}
	dst = append(dst, flag, byte(len(l.Network)), byte(len(l.Address)))
	dst = append(dst, l.Network...)
	dst = append(dst, l.Address...)
	return append(dst, l.Meta...)
}

func parseListener(f frame) (l Listener, more bool, err error) {
	p := f.payload
	network, address := int(p[1]), int(p[2])
	if p[0] > 1 || len(p) < listenerHead+network+address || len(p) > listenerHead+network+address+MaxMeta {
		return Listener{}, false, malformed("a listener of %d bytes, lengths %d and %d", len(p), network, address)
	}
	names := p[listenerHead:]
	return Listener{
		Network: string(names[:network]), Address: string(names[network : network+address]),
		Meta: names[network+address:], FDs: f.fds,
	}, p[0] == 1, nil
}

// appendBatch appends the beginning of a frame: id, stream, and the length of each state. The
// states follow.
func appendBatch(dst []byte, b *Batch) []byte {
	dst = appendHeader(dst, batch, len(b.Items), batchHead+4*len(b.Items)+b.size)
	dst = binary.LittleEndian.AppendUint32(dst, b.id)
	dst = binary.LittleEndian.AppendUint32(dst, b.Stream)
	for _, it := range b.Items {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(it.State)))
	}
	return dst
}

func parseBatch(f frame) (*Incoming, error) {
	p := f.payload
	if len(p) < batchHead+4*len(f.fds) {
		return nil, malformed("a batch of %d descriptors with %d bytes", len(f.fds), len(p))
	}
	b := &Incoming{
		id: binary.LittleEndian.Uint32(p), Stream: binary.LittleEndian.Uint32(p[4:]),
		Items: make([]Item, len(f.fds)), payload: p,
	}
	sizes, states := p[batchHead:], p[batchHead+4*len(f.fds):]
	for i, fd := range f.fds {
		size := binary.LittleEndian.Uint32(sizes[4*i:])
		if uint64(size) > uint64(len(states)) {
			return nil, malformed("a state of %d bytes, where %d are left", size, len(states))
		}
		b.Items[i] = Item{FD: fd, State: states[:size:size]}
		states = states[size:]
	}
	if len(states) > 0 {
		return nil, malformed("%d bytes behind the last state", len(states))
	}
	return b, nil
}
