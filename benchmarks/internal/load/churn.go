package load

import (
	"math"
	"net/netip"

	"github.com/myriadnet/myriad/wsproto"
)

// churning opens connections, sends one message on each and closes it, so many at a time. All workers share it.
type churning struct {
	session *Session
	opener  *opener
}

// goodbye is the Close frame that is sent, and closeReply what a server answers, if it says no more than that.
var goodbye, closeReply = func() ([]byte, []byte) {
	code := wsproto.AppendClose(nil, wsproto.NormalClosure, "")
	return wsproto.AppendMasked(nil, wsproto.Close, maskingKey, code), wsproto.AppendFrame(nil, wsproto.Close, code)
}()

// churnSources is how many addresses connections come from in turn: a port that was in use may have to rest for a minute.
const churnSources = 250

func (s *Session) newChurning() *churning {
	j := &churning{session: s}
	j.opener = s.newOpener(s.cfg.Path, math.MaxInt64, j.ready)
	if s.loopback {
		j.opener.from = func(i int64) netip.AddrPort { return source(i % churnSources) }
	}
	return j
}

func (j *churning) ready(c *conn) {
	c.at = j.session.now()
	j.session.message.send(c.c, 1)
}

// arrived implements job: the closing handshake begins. It is the server that closes the connection (RFC 6455 section 7.1.1); of
// bare TCP it is us.
func (j *churning) arrived(c *conn, n int) error {
	w := c.w
	w.messages += uint64(n)
	if n != 1 {
		return w.tooMany(n)
	}
	record(w.latency, j.session.now()-c.at)
	c.flags |= leaving
	if j.session.message.op == 0 {
		c.c.Close()
		return nil
	}
	c.c.Write(goodbye)
	c.c.SetTimeout(j.session.cfg.Timeout)
	return nil
}

// lost implements job: there is room for another one.
func (j *churning) lost(*conn) { j.opener.over() }

// stop opens no more.
func (j *churning) stop() { j.opener.stopped.Store(true) }
