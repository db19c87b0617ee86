package topic

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine/saved"
)

// A link is between the Hubs of an old and a new process, in a hot restart. It carries frames: the
// length of what follows in four bytes, the type, and the fields as package saved reads them.

// linkFormat is the first byte on a link, from the old process.
const linkFormat = 1

// The types of frames.
const (
	// To the old process, which has the topics at first.
	frameSubscribe   = 1 + iota // name
	frameUnsubscribe            // name
	framePublish                // name, op, data
	frameHistory                // number, name, position, limit
	frameJoin                   // name, member
	frameLeave                  // name, id
	frameMembers                // number, name

	// To the new process.
	frameSubscribed // name, position
	frameDeliver    // name, message
	framePresent    // name, number of those that joined, these, those that left
	frameTaken      // how many publishes were taken so far
	frameAnswer     // number, complete, messages
	frameMembersAre // number, members
	frameTopic      // name, position of the last message, age of the last use: it follows
	frameKept       // age, message: of the topic's history
	frameRoster     // name, members
	frameEverything // how many publishes were taken: the new process has the topics
	linkFrames
)

// linkMax limits the bytes that wait for a link. A process that does not read them is given up.
const linkMax = 64 << 20

var errLinkSlow = errors.New("topic: the other process does not read what it is sent")

// link is one end.
type link struct {
	conn net.Conn
	in   *bufio.Reader
	body []byte // of the last frame

	mu      sync.Mutex
	queue   []byte
	answers int // bytes of queue, to questions that pace has let in: one is as long as a history
	err     error
	ending  bool // when the queue is empty
	giving  bool // the queue is not limited, but see await
	less    sync.Cond
	wake    chan struct{}
	ended   chan struct{} // write has returned
}

func newLink(conn net.Conn) *link {
	k := &link{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	k.wake, k.ended = make(chan struct{}, 1), make(chan struct{})
	k.less.L = &k.mu
	go k.write()
	return k
}

// send queues a frame. fields appends what it has. Frames of one topic must be sent under its lock,
// so that they keep their order.
func (k *link) send(kind byte, fields func(b []byte) []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.err != nil:
		return k.err
	case k.ending:
		return net.ErrClosed
	case len(k.queue)-k.answers > linkMax && !k.giving:
		k.err = errLinkSlow
		k.less.Broadcast()
		k.conn.Close()
		return k.err
	}
	begin := len(k.queue)
	k.queue = append(k.queue, 0, 0, 0, 0, kind)
	k.queue = fields(k.queue)
	binary.BigEndian.PutUint32(k.queue[begin:], uint32(len(k.queue)-begin-4))
	if kind == frameAnswer || kind == frameMembersAre {
		k.answers += len(k.queue) - begin
	}
	k.nudge()
	return nil
}

func (k *link) nudge() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// write sends what is queued, until the link breaks or finish is called.
func (k *link) write() {
	defer close(k.ended)
	var out []byte
	for range k.wake {
		k.mu.Lock()
		out, k.queue, k.answers = k.queue, out[:0], 0
		ending := k.ending
		k.less.Broadcast()
		k.mu.Unlock()
		if _, err := k.conn.Write(out); err != nil {
			k.fail(err)
			return
		}
		if ending {
			return
		}
	}
}

func (k *link) fail(err error) {
	k.mu.Lock()
	if k.err == nil {
		k.err = err
	}
	k.less.Broadcast()
	k.mu.Unlock()
	k.conn.Close()
	k.nudge() // so that write returns
}

// await is pace for what is given, which is not limited.
func (k *link) await() {
	k.mu.Lock()
	k.giving = true
	k.mu.Unlock()
	k.pace()
}

// pace waits until little is queued, or the link breaks. What was asked for comes after it: answers
// are far larger than questions, and would otherwise break the link.
func (k *link) pace() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for len(k.queue) > linkMax/16 && k.err == nil {
		k.less.Wait()
	}
}

// finish sends what is queued, and closes the link when the other end has. Otherwise what that
// sends could break the link before it has read everything. No receive may run.
func (k *link) finish() {
	k.mu.Lock()
	k.ending = true
	k.nudge()
	k.mu.Unlock()
	<-k.ended
	k.conn.SetReadDeadline(time.Now().Add(inheritTime))
	io.Copy(io.Discard, k.conn)
	k.conn.Close()
}

// receive returns the next frame. It is valid until the next call.
func (k *link) receive() (kind byte, r saved.Reader, err error) {
	var head [4]byte
	if _, err = io.ReadFull(k.in, head[:]); err != nil {
		return 0, r, err
	}
	long := binary.BigEndian.Uint32(head[:])
	if long == 0 || long > math.MaxInt32 {
		return 0, r, saved.ErrMalformed
	}
	size := int(long)
	if cap(k.body) < size || cap(k.body) > 1<<20 {
		k.body = make([]byte, size)
	}
	k.body = k.body[:size]
	if _, err = io.ReadFull(k.in, k.body); err != nil {
		return 0, r, err
	}
	return k.body[0], saved.NewReader(k.body[1:]), nil
}

func appendPosition(b []byte, p Position) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, p.Epoch), p.Seq)
}

func readPosition(r *saved.Reader) Position {
	return Position{Epoch: r.Uvarint(math.MaxUint64), Seq: r.Uvarint(math.MaxUint64)}
}

func appendMessage(b []byte, m *Message) []byte {
	b = binary.AppendUvarint(appendPosition(b, m.Position), m.Prev)
	return saved.AppendBytes(append(b, byte(m.Op)), m.Data)
}

func readMessage(r *saved.Reader) Message {
	m := Message{Position: readPosition(r), Prev: r.Uvarint(math.MaxUint64), Op: websocket.Opcode(r.Byte())}
	m.Data = append([]byte(nil), r.Bytes(math.MaxInt32)...)
	return m
}

func appendMembers(b []byte, all []Member) []byte {
	b = binary.AppendUvarint(b, uint64(len(all)))
	for i := range all {
		b = appendMember(b, &all[i])
	}
	return b
}

func appendMember(b []byte, m *Member) []byte {
	return saved.AppendBytes(saved.AppendBytes(b, m.ID), m.Info)
}

func readMembers(r *saved.Reader) (all []Member) {
	for n := r.Uvarint(math.MaxInt32); n > 0 && r.Err() == nil; n-- {
		all = append(all, readMember(r))
	}
	return all
}

func readMember(r *saved.Reader) Member {
	m := Member{ID: string(r.Bytes(math.MaxInt32))}
	m.Info = append([]byte(nil), r.Bytes(math.MaxInt32)...)
	return m
}

func readName(r *saved.Reader) string { return string(r.Bytes(math.MaxInt32)) }
