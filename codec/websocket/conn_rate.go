package websocket

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Rate limits how fast a peer may send messages, by a token bucket per connection. It is for
// Server.Rate and Client.Rate. A connection whose Server has none pays nothing for it; otherwise it
// keeps 176 bytes from its first message on. Limits.ControlRate is the limit of pings and pongs.
type Rate struct {
	// Messages is how many messages a peer may send per second. Default: no limit.
	Messages float64
	// Burst is how many it may send at once, after a silence. Default: those of a second, but at
	// least one.
	Burst int
	// Bytes is how many bytes of payload a peer may send per second, when it is decompressed.
	// Default: no limit.
	Bytes float64
	// BurstBytes is how many it may send at once. A message that is larger passes after a silence.
	// Default: those of a second.
	BurstBytes int
	// Excess is what becomes of a peer that sends more. Default: PauseExcess.
	Excess ExcessPolicy
	// CloseCode is the code of CloseExcess. Default: 1008 (PolicyViolation); 1013 (TryAgainLater)
	// invites the client to come back.
	CloseCode CloseCode
	// Exceeded is called on the connection's loop for each message that is dropped, each pause and
	// each close, before that happens: to count them, or to tell the peer. Optional.
	Exceeded func(*Conn)
}

// ExcessPolicy is what becomes of a peer that exceeds its Rate.
type ExcessPolicy uint8

const (
	// PauseExcess delivers the message, then stops reading until the peer may send again. What it
	// sends meanwhile waits in the kernel, and the peer with it. It uses PauseRead and ResumeRead
	// of Conn.EngineConn, so callbacks that call these themselves must not be combined with it.
	PauseExcess ExcessPolicy = iota
	// DropExcess drops the message. Of a message that is delivered in pieces, the first piece
	// decides; what follows too fast makes the peer wait, as with PauseExcess.
	DropExcess
	// CloseExcess closes the connection with Rate.CloseCode, instead of delivering the message. Of
	// a message in pieces the same is true as with DropExcess.
	CloseExcess
)

// check returns an error if a field makes no sense.
func (r *Rate) check() error {
	if r == nil {
		return nil
	}
	if !(r.Messages >= 0 && r.Bytes >= 0) || r.Burst < 0 || r.BurstBytes < 0 {
		return errors.New("a rate or burst that is negative or not a number")
	}
	if r.Excess > CloseExcess {
		return fmt.Errorf("unknown Excess %d", r.Excess)
	}
	if r.CloseCode != 0 { // with another one, CloseExcess would close nothing
		return checkCode(r.CloseCode)
	}
	return nil
}

// bucket is a token bucket, as the time at which it will be full again (the generic cell rate
// algorithm). It needs no timer, and the zero value is full.
type bucket time.Duration

// rates are the buckets of a connection.
type rates struct{ messages, bytes bucket }

// isFull reports whether there is nothing to remember.
func (r *rates) isFull(now time.Duration) bool {
	return time.Duration(max(r.messages, r.bytes)) <= now
}

// limit is one of the limits of a Rate.
type limit struct {
	each  time.Duration // what one costs
	burst time.Duration // how far ahead of now a bucket may be
}

// rateLimits is a Rate as it is used.
type rateLimits struct {
	Rate
	messages, bytes limit
}

func newRateLimits(r *Rate) *rateLimits {
	l := &rateLimits{Rate: *r}
	l.CloseCode = or(l.CloseCode, PolicyViolation)
	l.messages = newLimit(r.Messages, float64(r.Burst))
	l.bytes = newLimit(r.Bytes, float64(r.BurstBytes))
	return l
}

func newLimit(perSecond, burst float64) limit {
	if perSecond <= 0 {
		return limit{}
	}
	each := max(duration(float64(time.Second)/perSecond), 1)
	return limit{each, duration(max(or(burst, perSecond), 1) * float64(each))}
}

// longest is as good as for ever. Three of them, and the time that the process has run, are still a
// Duration.
const longest = math.MaxInt64 / 4

// duration returns a time in nanoseconds, at most longest.
func duration(nanoseconds float64) time.Duration { return time.Duration(min(nanoseconds, longest)) }

// cost is what n cost.
func (l limit) cost(n int) time.Duration { return duration(float64(n) * float64(l.each)) }

// over returns how long a peer has to wait before it may send n more. A full bucket lets
// everything pass.
func (l limit) over(b bucket, n int, now time.Duration) time.Duration {
	if at := time.Duration(b); at > now {
		return at + l.cost(n) - l.burst - now
	}
	return 0
}

func (l limit) take(b *bucket, n int, now time.Duration) {
	*b = min(max(*b, bucket(now))+bucket(l.cost(n)), 2*longest)
}

// limited puts the Rate in front of the callbacks.
func (s *service) limited(r *Rate) {
	l := newRateLimits(r)
	message, piece := s.message, s.piece
	s.message = func(c *Conn, op Opcode, data []byte) {
		if l.admit(c, 1, len(data)) && message != nil {
			message(c, op, data)
		}
	}
	if piece != nil {
		s.piece = func(c *Conn, op Opcode, data []byte, last bool) {
			if l.admitPiece(c, len(data), last) {
				piece(c, op, data, last)
			}
		}
	}
}

// admit counts messages, which may be none, and bytes. It reports whether they are delivered. No
// message can be dropped whose first piece was delivered, and it may have no end.
func (l *rateLimits) admit(c *Conn, messages, bytes int) bool {
	r, now := &c.makeRare().rates, c.conn.Now()
	wait := max(l.messages.over(r.messages, messages, now), l.bytes.over(r.bytes, bytes, now))
	if wait > 0 && messages > 0 && l.Excess != PauseExcess {
		l.exceeded(c)
		if l.Excess == CloseExcess {
			c.Close(l.CloseCode, "messages come too fast") // an error means that it is closing
		}
		return false
	}
	l.messages.take(&r.messages, messages, now)
	l.bytes.take(&r.bytes, bytes, now)
	if wait = max(l.messages.over(r.messages, 0, now), l.bytes.over(r.bytes, 0, now)); wait > 0 &&
		(l.Excess == PauseExcess || messages == 0) && c.conn.Reading() {
		if l.exceeded(c); c.flags&closeSent != 0 {
			return false
		}
		c.pauseFor(wait)
	}
	return true
}

// pauseFor stops reading from the peer until it may send again.
func (c *Conn) pauseFor(wait time.Duration) {
	c.makeRare().excess = true
	c.conn.PauseRead()
	c.conn.AfterFunc(wait, c.endExcess).LeaveBehind() // see loadRates
}

// endExcess ends pauseFor, unless a Stream has paused, too.
func (c *Conn) endExcess() {
	c.makeRare().excess = false
	c.takeBack()
	if s := c.service.stream; s == nil || !s.isPaused() {
		c.conn.ResumeRead()
	}
	if c.rare.empty() {
		c.freeRare()
	}
}

// admitPiece counts a piece; the first one stands for the message.
func (l *rateLimits) admitPiece(c *Conn, bytes int, last bool) bool {
	r := c.makeRare()
	first := 0
	if !r.inPieces {
		first = 1
	}
	admitted := !r.dropping && l.admit(c, first, bytes)
	r.inPieces, r.dropping = !last, !last && !admitted
	return admitted
}

func (l *rateLimits) exceeded(c *Conn) {
	if l.Exceeded != nil {
		l.Exceeded(c)
	}
}

// forgetRates frees what a silent peer's full buckets need not keep.
func (c *Conn) forgetRates() {
	if r := c.rare; r != nil && r.rates != (rates{}) && !r.inPieces && r.rates.isFull(c.conn.Now()) {
		if r.rates = (rates{}); r.empty() {
			c.freeRare()
		}
	}
}
