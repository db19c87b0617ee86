package websocket

import (
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Refusal is an opening handshake that was refused.
type Refusal struct {
	// RemoteAddr is the client's address: see Conn.RemoteAddr. If the request could not be read, it
	// is the peer's, also behind an HTTP proxy.
	RemoteAddr netip.AddrPort
	// Target is the path and query that the client asked for, and Origin the page that it says it
	// is on. They are empty if the request could not be read, or was not: at a limit, or at a
	// timeout.
	Target, Origin string
	// Status is the HTTP status of the answer.
	Status int
	// Reason is a *handshake.Error for a broken rule, a policy or a limit; or it has the text of
	// Handshake.Refuse. With status 500 it is a mistake of the program: what the callback Handshake
	// has asked for and cannot be, or the error of Check.
	Reason error
}

// checkOrigin checks a handshake against Origins, or asks CheckOrigin.
func (s *Server) checkOrigin(raw *handshake.Request, request func() *http.Request) error {
	if s.CheckOrigin == nil {
		return raw.CheckOrigin(s.Origins)
	}
	if !s.CheckOrigin(request()) {
		return errOrigin
	}
	return nil
}

// refused tells of a refused handshake; raw may be nil.
func (s *Server) refused(from netip.AddrPort, raw *handshake.Request, status int, reason error) {
	r := Refusal{RemoteAddr: from, Status: status, Reason: reason}
	if raw != nil {
		r.Target, r.Origin = string(raw.Target), string(raw.Header("Origin"))
	}
	s.tellRefused(r)
}

func (s *Server) tellRefused(r Refusal) {
	switch {
	case s.Refused != nil:
		s.Refused(r)
	case r.Status == http.StatusInternalServerError: // a mistake, which refusals must not hide
		s.mistakes.log(r)
	default:
		s.refusals.log(r)
	}
}

// errByCallback returns the reason of a handshake that Handshake.Refuse refused.
func errByCallback(text string) error {
	return errors.New("websocket: refused by the callback Handshake: " + strings.TrimSpace(text))
}

// refusalLog logs refusals, no more often than refusalInterval: everybody can cause them.
type refusalLog struct {
	mu    sync.Mutex
	next  time.Time
	count int
}

const refusalInterval = 10 * time.Second

func (l *refusalLog) log(r Refusal) {
	if n, ok := l.due(time.Now()); ok {
		slog.Warn("websocket: opening handshake refused", "status", r.Status, "reason", r.Reason,
			"remote", r.RemoteAddr, "origin", r.Origin, "target", r.Target, "count", n)
	}
}

// due counts a refusal. It reports whether to log it, and how many there were since the
// last one that was.
func (l *refusalLog) due(now time.Time) (count int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if now.Before(l.next) {
		return 0, false
	}
	count, l.count = l.count, 0
	l.next = now.Add(refusalInterval)
	return count, true
}
