package tlslayer

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"sync"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// testConfig returns a configuration with one certificate for all tests.
var testConfig = sync.OnceValue(func() *tls.Config { return must(selfTestConfig()) })

// suiteConfig returns a configuration that negotiates TLS 1.3, or a suite of TLS 1.2.
func suiteConfig(id uint16) *tls.Config {
	c := testConfig().Clone()
	if id != 0 {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{id}
	}
	return c
}

var testSuites = []struct {
	name string
	id   uint16 // 0: TLS 1.3
}{
	{"TLS13", 0},
	{"TLS12-AES128", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{"TLS12-AES256", tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"TLS12-ChaCha20", tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
}

// twins are the two levels of the same side of one connection, with the same keys, and what the
// peer needs to seal anything for it.
type twins struct {
	level1 *standard
	level2 *records
	peer   *records
}

// receiver is what Open is called by: it keeps what Open returns as the engine does.
type receiver struct {
	stream layer.Stream
	leave  bool // the Protocol consumes nothing until the end

	buf     []byte // plaintext that was left, then a partial record
	plain   int
	got     []byte
	answers bool   // to KeyUpdates
	said    []byte // the answers
	opens   int
	err     error
}

func (r *receiver) feed(b []byte) {
	r.buf = append(r.buf, b...)
	for more := true; more; _, more = r.stream.Work() {
		r.open()
	}
}

func (r *receiver) open() {
	r.opens++
	from, to, end, err := r.stream.Open(r.buf, r.plain)
	if r.err == nil {
		r.err = err
	}
	if !r.leave {
		r.got = append(r.got, r.buf[from:to]...)
		from = to
	}
	r.buf, r.plain = append([]byte(nil), r.buf[from:end]...), to-from
	if r.answers && r.stream.Pending() {
		r.said = r.stream.Seal(r.said, nil)
	}
}

func (r *receiver) close() {
	err := r.stream.ReadClosed(len(r.buf) - r.plain)
	if r.err == nil {
		r.err = err
	}
	r.got = append(r.got, r.buf[:r.plain]...)
	r.buf, r.plain = nil, 0
}

// newTwins returns the twins of a server, or of a client.
func newTwins(tb testing.TB, c *tls.Config, server bool) twins {
	tb.Helper()
	var tw twins
	l := newLayer(Config{TLS: c})
	s, cl, err := connectHandshakes(l, l, func(h, peer *handshake) {
		if !server {
			h, peer = peer, h
		}
		h.wire.handshake = nil
		tw.level1 = &standard{conn: h.conn, wire: h.wire, version: h.info.Version}
	})
	if err != nil {
		tb.Fatal(err)
	}
	us, peer := s.(*records), cl.(*records)
	if !server {
		us, peer = peer, us
	}
	tw.level2, tw.peer = us, peer
	return tw
}

// clone returns independent twins in the same state. Level 1 cannot be copied: it is left out.
func (r *records) clone() *records {
	c := *r
	c.loop = newLoop(2, 2)
	c.loop.wrap = r.loop.wrap
	if r.extra != nil {
		e := *r.extra
		e.handshake, e.tickets = bytes.Clone(e.handshake), nil
		c.extra = &e
	}
	c.read.cached, c.write.cached = 0, 0
	return &c
}

// craft seals a record for the twins with content of any type, padding, and a header of any kind:
// the tests send what no implementation would.
func (r *records) craft(dst []byte, typ byte, content []byte, padding int) []byte {
	s := &suites[r.suite]
	if !s.tls13 {
		return r.loop.seal(s, &r.write, dst, typ, content)
	}
	inner := append(bytes.Clone(content), typ)
	inner = append(inner, make([]byte, padding)...)
	return r.craftInner(dst, typeData, inner)
}

// craftInner seals what stands for content, type and padding of TLS 1.3, in a record of type outer.
func (r *records) craftInner(dst []byte, outer byte, inner []byte) []byte {
	s := &suites[r.suite]
	a := r.loop.aead(s, &r.write)
	start := len(dst)
	dst = append(dst, outer, 3, 3)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(inner)+tagLen))
	r.loop.fill(s, &r.write, outer, len(inner))
	r.write.seq++
	return a.Seal(dst, r.loop.nonce[:], inner, dst[start:])
}

// updateKey seals a KeyUpdate, and goes on with the new key.
func (r *records) updateKey(dst []byte, request byte) []byte {
	dst = r.craft(dst, typeHandshake, []byte{messageKeyUpdate, 0, 0, 1, request}, 0)
	r.loop.update(&suites[r.suite], &r.write)
	return dst
}

// answers returns everything that s has to say at the end, behind what it has said, and what r
// thinks of it.
func (r *records) answers(s layer.Stream, said []byte) (data []byte, err error) {
	to := r.clone()
	rc := receiver{stream: to}
	for rest := s.SealEnd(s.Seal(said, nil)); len(rest) > 0 && rc.err == nil; {
		n := recordIn(rest)
		rc.feed(rest[:n])
		to.useless = 0 // level 1 answers each KeyUpdate
		rest = rest[n:]
	}
	return rc.got, rc.err
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}
