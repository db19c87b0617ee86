package load

import (
	"math"
	"net/netip"

	"github.com/myriadnet/myriad/wsproto"
)

// churning is a job that opens connections, sends one message on each and closes it, a fixed number
// at a time. All workers share it.
type churning struct {
	session *Session
	opener  *opener
}

// goodbye is the Close frame that we send. closeReply is the usual answer.
var goodbye, closeReply = func() ([]byte, []byte) {
	code := wsproto.AppendClose(nil, wsproto.NormalClosure, "")
	return wsproto.AppendMasked(nil, wsproto.Close, maskingKey, code), wsproto.AppendFrame(nil, wsproto.Close, code)
}()

// churnSources is the number of source addresses that connections use in turn. A port that was in
// use is not free for a minute (TIME_WAIT).
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

// arrived implements job and begins the closing handshake. The server then closes the connection
// (RFC 6455 section 7.1.1). With raw TCP we close it.
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

// lost implements job. Another connection may begin.
func (j *churning) lost(*conn) { j.opener.over() }

// stop ends the job: no more connections begin.
func (j *churning) stop() { j.opener.stopped.Store(true) }
