package engine

import (
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine/internal/wheel"
	"github.com/myriadnet/myriad/engine/quota"
)

// SessionConfig makes sessions of a socket's datagrams: one per peer, for as long as datagrams come
// from it. Game servers use this. The zero value is ready to use.
type SessionConfig struct {
	// IdleTimeout is how long a peer may be silent, up to 124 days. Then its session is closed with
	// ErrIdleTimeout, or up to IdleTimeout later while datagrams wait that may be the peer's.
	// Default: 30 s.
	IdleTimeout time.Duration
	// MaxSessions limits the sessions of a socket, since source addresses of UDP are easily forged.
	// Datagrams of further peers are dropped and counted. They are, too, while more than half of
	// Config.MaxBuffered is in use and the sessions of the loop take more than half of its part:
	// each counts about 400 bytes. One that has ended counts until its Closed is called.
	// Default: 65,536.
	//
	// One client (see quota.Prefix) gets as many as are left for others, at most. It does not help
	// against forged addresses: let peers prove theirs, as in ExamplePacketProtocol.
	MaxSessions int
	// MaxSessionsPerAddress is how many sessions one client may have, besides. All peers behind a
	// NAT are one client. Default: no limit but the share of MaxSessions.
	MaxSessionsPerAddress int
}

// SessionProtocol serves a session. Its methods are called on the socket's loop, one at a time. A
// panic closes the session with a *PanicError. It may also implement Shutdowner.
type SessionProtocol interface {
	// Datagram gets one datagram of the peer. It may modify b, which belongs to the engine again
	// when Datagram returns.
	Datagram(b []byte)
	// Closed is the last call, made once, with the reason: nil after Close, ErrIdleTimeout, a
	// *PanicError, or the reason of the socket. A last word to the peer goes out by the WriteTo of
	// Session.PacketConn, unless the socket itself has ended.
	Closed(err error)
}

// Session is one peer of a datagram socket. Its methods may be called only on the socket's loop:
// see PacketConn. Other goroutines reach it by Engine.Post(s.PacketConn().Loop(), f), or by
// PacketListener.Post, with a function that calls its methods; RemoteAddr and PacketConn may be
// called anywhere. After the session has closed, Write returns ErrClosed.
type Session struct {
	sessions *sessions
	proto    SessionProtocol
	before   *Session // in sessions.first
	behind   *Session
	remote   PacketAddr
	active   wheel.Tick // when the last datagram came
	timer    *Timer
	client   *quota.Client
	closed   bool
	reason   error
}

// sessionCost is about the memory of a session without its SessionProtocol: the Session, its timer,
// and its place in the map.
const sessionCost = 400

// sessions is the PacketProtocol of a socket with sessions.
type sessions struct {
	conn   *PacketConn
	config SessionConfig
	accept func(*Session) SessionProtocol
	peers  map[PacketAddr]*Session
	quota  quota.Limiter

	first, last *Session // of peers, in the order in which they have begun
	over        bool     // the socket has ended
	reason      error    // of that
}

// Accept returns a function for PacketConfig.Listen that gives each peer a Session, served by what
// accept returns for it. accept is called on the loop when the first datagram of a peer comes. If
// it returns nil, that datagram is dropped. accept does not see the datagram: it goes to the
// session's Datagram, which can close the session if it makes no sense.
//
// For what belongs to the socket, such as a timer, wrap the function that Accept returns: it is
// called with the PacketConn.
func (sc SessionConfig) Accept(accept func(*Session) SessionProtocol) func(*PacketConn) PacketProtocol {
	needFunc("SessionConfig.Accept", "accept", accept == nil)
	if sc.IdleTimeout <= 0 {
		sc.IdleTimeout = 30 * time.Second
	}
	if sc.MaxSessions <= 0 {
		sc.MaxSessions = 1 << 16
	}
	return func(p *PacketConn) PacketProtocol {
		ss := &sessions{conn: p, config: sc, accept: accept, peers: make(map[PacketAddr]*Session)}
		ss.quota = quota.Limiter{
			Max: sc.MaxSessions, MaxPerClient: sc.MaxSessionsPerAddress, Fair: p.listener.path == "",
		}
		return ss
	}
}

// RemoteAddr returns the peer's address.
func (s *Session) RemoteAddr() PacketAddr { return s.remote }

// PacketConn returns the socket.
func (s *Session) PacketConn() *PacketConn { return s.sessions.conn }

// Write sends the peer a datagram: see PacketConn.WriteTo. The error is ErrClosed after the session
// has closed.
func (s *Session) Write(b []byte) error {
	if s.closed {
		return ErrClosed
	}
	return s.sessions.conn.WriteTo(b, s.remote)
}

// Close ends the session when the current call has returned. The next datagram of the peer begins a
// new one.
func (s *Session) Close() { s.end(nil) }

// Datagram implements PacketProtocol.
func (ss *sessions) Datagram(from PacketAddr, b []byte) {
	l := ss.conn.loop
	s := ss.peers[from]
	if s == nil {
		if s = ss.begin(from); s == nil {
			return
		}
	}
	s.active = l.tick
	l.packets.session = s
	s.proto.Datagram(b)
	l.packets.session = nil
}

// begin begins the session of a peer. It returns nil if there is none.
func (ss *sessions) begin(from PacketAddr) *Session {
	l := ss.conn.loop
	if ss.conn.told || l.sessionsTakeMuch() {
		l.stats.RefusedSessions++
		return nil
	}
	client, err := ss.quota.Acquire(quota.Prefix(from.Addr()))
	if err != nil {
		l.stats.RefusedSessions++
		return nil
	}
	s := &Session{sessions: ss, remote: from, client: client}
	defer func() {
		if s.proto == nil { // accept has refused it, or has panicked
			ss.quota.Release(client)
		}
	}()
	s.proto = ss.accept(s)
	if s.proto == nil {
		return nil
	}
	l.stats.Sessions++
	l.memory.held += sessionCost
	if s.closed { // by accept
		l.packets.endedSessions = append(l.packets.endedSessions, s)
		return nil
	}
	ss.peers[from] = s
	ss.list(s)
	s.timer = l.afterFunc(ss.config.IdleTimeout, s.idle)
	return s
}

// sessionsTakeMuch reports whether the loop's sessions take half of its part of Config.MaxBuffered,
// when half of that is taken. Then there are no more of them: nobody is closed for sessions, but
// connections would be if those took all of it.
func (l *loop) sessionsTakeMuch() bool {
	return l.stats.Sessions*sessionCost > l.memory.share/2 &&
		l.engine.buffered.Load() > int64(l.config.MaxBuffered/2)
}

// list adds s to the list.
func (ss *sessions) list(s *Session) {
	if s.before = ss.last; s.before == nil {
		ss.first = s
	} else {
		s.before.behind = s
	}
	ss.last = s
}

// unlist takes s off the list.
func (ss *sessions) unlist(s *Session) {
	if s.before == nil {
		ss.first = s.behind
	} else {
		s.before.behind = s.behind
	}
	if s.behind == nil {
		ss.last = s.before
	} else {
		s.behind.before = s.before
	}
	s.before, s.behind = nil, nil
}

// idle ends the session, or sets its timer again: datagrams do not move the timer.
func (s *Session) idle() {
	l := s.sessions.conn.loop
	timeout := ticks(s.sessions.config.IdleTimeout)
	switch silent := l.tick - s.active; {
	case s.sessions.conn.closed: // it ends soon; the descriptor may be another's by now
	case silent < timeout:
		l.start(s.timer, time.Duration(timeout-silent)*tickLength)
	case silent < 2*timeout && l.sockets.Waiting(s.sessions.conn.fd):
		// Among what waits there may be some of this peer: the loop was late.
		l.start(s.timer, s.sessions.config.IdleTimeout/lookAgain)
	default:
		s.end(ErrIdleTimeout)
	}
}

// end marks the session as closed. settleSessions does the rest.
func (s *Session) end(reason error) {
	if s.closed {
		return
	}
	s.sessions.conn.loop.checkTurn()
	s.closed, s.reason = true, reason
	if ss := s.sessions; ss.peers[s.remote] == s {
		if ss.over {
			s.reason = ss.reason
		}
		delete(ss.peers, s.remote)
		ss.unlist(s)
		s.timer.Stop()
		l := ss.conn.loop
		l.packets.endedSessions = append(l.packets.endedSessions, s)
	}
}

// settleSessions calls Closed of the sessions that have ended, as long as the turn has time: see
// turnTime. A socket may have had tens of thousands.
func (l *loop) settleSessions() {
	if len(l.packets.endedSessions) == 0 && len(l.packets.leaving) == 0 {
		return
	}
	begun := l.poller.Now() - l.yielding.away
	for {
		s := l.packets.nextEnded()
		if s == nil {
			return
		}
		// Until now it counts: peers may begin sessions faster than they are ended.
		s.sessions.quota.Release(s.client)
		l.stats.Sessions--
		l.memory.held -= sessionCost
		l.enter(nil)
		s.proto.Closed(s.reason)
		l.exit()
		l.spend(4 * eventWork)
		if l.tookLong(begun, tasksLeast) {
			return
		}
	}
}

// nextEnded takes the next session off its list whose Closed is to be called. It is nil if there is
// none.
func (p *packets) nextEnded() *Session {
	for len(p.endedSessions) == 0 && len(p.leaving) > 0 {
		if ss := p.leaving[0]; ss.first != nil {
			ss.first.end(ss.reason)
		} else {
			p.leaving = p.leaving[1:]
		}
	}
	if len(p.endedSessions) == 0 {
		p.endedSessions, p.leaving = nil, nil
		return nil
	}
	s := p.endedSessions[0]
	p.endedSessions = p.endedSessions[1:]
	return s
}

// Shutdown implements Shutdowner. shutdownPackets calls that of each session.
func (ss *sessions) Shutdown() {
	l := ss.conn.loop
	l.packets.untold = slices.Grow(l.packets.untold, len(ss.peers))
	for s := ss.first; s != nil; s = s.behind {
		l.packets.untold = append(l.packets.untold, s)
	}
}

// Closed implements PacketProtocol. It makes settleSessions end all sessions.
func (ss *sessions) Closed(err error) {
	ss.over, ss.reason = true, err
	l := ss.conn.loop
	l.packets.leaving = append(l.packets.leaving, ss)
}
