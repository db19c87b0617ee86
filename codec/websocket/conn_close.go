package websocket

import (
	"fmt"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// Close begins the closing handshake: it sends a Close frame, and the connection ends when the peer
// answers, or when it has not within CloseTimeout after it has acknowledged that frame, and then
// has not closed the connection either within engine.Config.Linger. As long as the peer takes what
// was sent before, it has time: see engine.Conn.SetReplyTimeout. Nothing can be sent after Close,
// and messages that still arrive are dropped; reading goes on if it was paused. A message that is
// being sent piece by piece is cut, and those that wait for its end are dropped: with SendFrom,
// call Close in done. With code NoStatus the frame has no code. reason is UTF-8; of one over 123
// bytes the end is cut. The error is that the code may not be sent, or engine.ErrClosed after the
// first Close and when the connection is closed. Before Open, Close just closes the connection.
func (c *Conn) Close(code CloseCode, reason string) error {
	if c.flags&isOpen == 0 {
		if c.conn.Handle().Closed() {
			return engine.ErrClosed
		}
		c.conn.Close()
		return nil
	}
	if c.flags&closeSent != 0 {
		return engine.ErrClosed
	}
	if err := checkCode(code); err != nil {
		return err
	}
	c.isSending() // what was held goes out before the Close frame, unless its message has not ended
	if err := c.sendClose(code, reason); err != nil {
		return err
	}
	sent := wsproto.AppendClose(nil, code, reason) // which may leave some of the reason out
	c.makeRare().closing = &CloseError{SentCode: code, SentReason: string(sent[min(2, len(sent)):]), SentFirst: true}
	c.conn.SetReplyTimeout(c.service.receive.CloseTimeout)
	c.conn.ResumeRead() // or the peer's answer would not be seen
	return nil
}

func checkCode(code CloseCode) error {
	if code != wsproto.NoStatus && !code.Sendable() {
		return fmt.Errorf("websocket: close code %d may not be sent (RFC 6455 section 7.4)", code)
	}
	return nil
}

func (c *Conn) sendClose(code CloseCode, reason string) error {
	if c.flags&closeSent != 0 {
		return nil
	}
	var b [wsproto.MaxControl]byte
	err := c.control(wsproto.Close, wsproto.AppendClose(b[:0], code, reason))
	c.flags |= closeSent
	c.sendWaiting() // which fails
	return err
}

// closeReceived answers a Close frame with the code that it has (RFC 6455 section 5.5.1), unless it
// is the answer to ours. Then the server closes the connection; a client waits for that (section
// 7.1.1).
func (c *Conn) closeReceived(ev wsproto.Event) error {
	c.isSending() // as in Close
	c.sendClose(ev.Code, "")
	r := c.makeRare()
	if r.closing == nil {
		r.closing = &CloseError{SentCode: ev.Code}
	}
	r.closing.Code, r.closing.Reason = ev.Code, string(ev.Payload)
	switch {
	case c.flags&isClient != 0:
		c.conn.SetReplyTimeout(c.service.receive.CloseTimeout)
	case r.closing.SentFirst:
		c.conn.Close()
	default:
		return r.closing
	}
	return nil
}

// fail tells the peer which rule it broke (RFC 6455 section 7.1.7).
func (c *Conn) fail(err error) error {
	if p, ok := err.(*wsproto.ProtocolError); ok {
		c.sendClose(p.Code, p.Text)
	}
	return err
}

// failNow fails the connection outside of Feed.
func (c *Conn) failNow(err error) { c.conn.CloseWith(c.fail(err)) }

// closed returns the reason of a connection with a closing handshake, which the engine closed
// because of err. c has no code if the peer did not answer our Close frame.
func closed(err error, c *CloseError) error {
	switch {
	case c.Code != 0:
	case err == nil:
		return nil
	default:
		return &wrapError{fmt.Sprintf("websocket: no answer to close code %d %q", c.SentCode, c.SentReason), err}
	}
	if unsent, ok := err.(*engine.UnsentError); ok {
		return &engine.UnsentError{Reason: c, Bytes: unsent.Bytes}
	}
	return c
}

// wrapError is an error behind a text. fmt.Errorf would ask err for its text at once: that may be a
// value with which a callback has panicked, and panic again.
type wrapError struct {
	text string
	err  error
}

func (e *wrapError) Error() string { return fmt.Sprintf("%s: %v", e.text, e.err) }
func (e *wrapError) Unwrap() error { return e.err }
