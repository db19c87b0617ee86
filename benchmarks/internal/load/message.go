package load

import (
	"fmt"
	"math/rand/v2"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// message is the message of a run. It is the same every time, so that what is sent and what is
// expected are made once. It is immutable, and shared by all loops.
type message struct {
	op      wsproto.Opcode // 0: raw TCP
	payload []byte
	frame   int    // size of a frame that is sent
	batch   []byte // frames in a row
	reply   int    // size of a frame that comes back
	replies []byte // such frames in a row; nil: replies are compressed and must be decoded
}

const (
	// maskingKey is that of every frame. A browser must choose a new one for each frame to protect
	// proxies (RFC 6455 section 5.3). It makes no difference to the server.
	maskingKey wsproto.Key = 0x3d21fa37
	// fed is more than the engine feeds at a time, in bytes.
	fed = 512 << 10
	// batched is about how much is written at a time, in bytes.
	batched = 64 << 10
)

// newMessage makes a message of c.Size bytes. At most depth of them are sent in a row.
func newMessage(c *Config, depth int) (*message, error) {
	m := &message{payload: payload(c.Size, c.Text || c.Compress)}
	var frame, reply []byte
	switch {
	case c.Protocol == "tcp":
		frame, reply = m.payload, m.payload
	case c.Compress:
		m.op = opcode(c)
		b, err := deflate.Append(nil, m.payload, nil, deflate.Compression{}.WithDefaults().Level, wsproto.MaxWindowBits)
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		h := wsproto.Header{
			Fin: true, RSV: wsproto.RSV1, Opcode: m.op, Length: uint64(len(b)), Masked: true, Key: maskingKey,
		}
		wsproto.Mask(b, maskingKey)
		frame = append(wsproto.AppendHeader(nil, h), b...)
	default:
		m.op = opcode(c)
		frame = wsproto.AppendMasked(nil, m.op, maskingKey, m.payload)
		reply = wsproto.AppendFrame(nil, m.op, m.payload)
	}
	m.frame, m.reply = len(frame), len(reply)
	for range max(1, min(depth, batched/len(frame))) {
		m.batch = append(m.batch, frame...)
	}
	for m.reply > 0 && len(m.replies) < m.reply+fed {
		m.replies = append(m.replies, reply...)
	}
	return m, nil
}

func opcode(c *Config) wsproto.Opcode {
	if c.Text {
		return wsproto.Text
	}
	return wsproto.Binary
}

// words is what text is made of. It compresses to about a third, as JSON and prose do.
var words = [...]string{
	"open", "high", "low", "close", "volume", "price", "bid", "ask",
	"symbol", "time", "order", "trade", "quantity", "exchange", "currency", "settlement",
}

// payload makes n bytes that are the same in every run: words and numbers, or incompressible bytes.
func payload(n int, text bool) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, n+16)
	for len(b) < n {
		if text {
			b = fmt.Appendf(b, "%s %d ", words[rng.IntN(len(words))], rng.IntN(1000))
		} else {
			b = append(b, byte(rng.Uint32()))
		}
	}
	return b[:n:n]
}

// sharedSize is the least size of a batch that is queued without a copy.
const sharedSize = 16 << 10

// send writes the message n times. It ignores errors: Closed follows.
func (m *message) send(c *engine.Conn, n int) {
	for n > 0 {
		k := min(n, len(m.batch)/m.frame)
		b := m.batch[:k*m.frame]
		if len(b) < sharedSize {
			c.Write(b)
		} else {
			c.WriteShared(b, engine.SlowWait)
		}
		n -= k
	}
}
