package websocket

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/saved"
)

// Mux serves several Servers on one port, by the path that clients ask for. Like a Server, it is
// used by giving its Accept to an engine, or by ListenAndServe, and must not be changed once it is
// in use.
//
// Paths are compared after decoding: "/%63hat" is "/chat". Nothing is redirected. A path with an
// empty, "." or ".." element belongs to no Server.
type Mux struct {
	// Servers are the Servers by path. A path that ends in "/" matches all paths that begin with
	// it. An exact match comes first, then the longest such path. Servers of a Mux must have no
	// Handler.
	Servers map[string]*Server
	// Handler serves requests that are not opening handshakes, as Server.Handler does, and opening
	// handshakes whose path belongs to no Server: it may call Server.Upgrade for those, so that a
	// router can have wildcards, or ask somebody first. If it is nil, the former are answered with
	// status 426, the latter with 404.
	Handler http.Handler
	// Hosts are those of Server, for the Handler and all Servers; a Server may have fewer of its
	// own.
	Hosts []string

	// Limits bound what comes before the path is known: HandshakeTimeout, MaxHeader, MaxStartLine
	// and MaxHeaderFields have a meaning here, and IdleTimeout for the Handler's connections. Once
	// the path is known, the limits of the Server count.
	Limits
	// HTTPTimeout is that of Server.
	HTTPTimeout time.Duration
	// These are those of Server, for all Servers together. Those of the Servers themselves count
	// for connections of their Upgrade only.
	MaxHandshakes, MaxHandshakesPerAddress int
	MaxHTTP, MaxHTTPPerAddress             int
	// Proxies are those of Server, for all that comes by the Mux. Those of the Servers themselves
	// count for connections of their Upgrade only.
	Proxies *Proxies
	// Refused is called for opening handshakes that are refused before a Server gets them: see
	// Server.Refused.
	Refused func(Refusal)

	once     sync.Once
	front    Server // has the connections until their path is known
	prefixes []string
	err      error // of Check
}

// Check returns an error if a path is not one that a client can ask for, or a Server fails its
// Check.
func (m *Mux) Check() error {
	if err := nethttp.CheckHosts(m.Hosts); err != nil {
		return fmt.Errorf("websocket: Mux.Hosts: %w", err)
	}
	if err := m.Proxies.Check(); err != nil {
		return fmt.Errorf("websocket: Mux.Proxies: %w", err)
	}
	for p, s := range m.Servers {
		if p == "" || p[0] != '/' || strings.TrimSuffix(path.Clean(p), "/") != strings.TrimSuffix(p, "/") {
			return fmt.Errorf("websocket: Mux has a Server at %q: want a clean path that begins with a slash", p)
		}
		if strings.ContainsAny(p, "{}") {
			return fmt.Errorf("websocket: Mux has a Server at %q: it has no wildcards; "+
				"want a path that ends in a slash, and Handshake.Request", p)
		}
		if s == nil {
			return fmt.Errorf("websocket: Mux has no Server at %q", p)
		}
		if s.Handler != nil {
			return fmt.Errorf("websocket: Mux has a Server with a Handler at %q: want Mux.Handler", p)
		}
		if err := s.Check(); err != nil {
			return fmt.Errorf("%w (at %q)", err, p)
		}
	}
	return nil
}

func (m *Mux) prepare() *Server {
	m.once.Do(func() {
		if m.err = m.Check(); m.err != nil {
			return
		}
		for p := range m.Servers {
			if strings.HasSuffix(p, "/") {
				m.prefixes = append(m.prefixes, p)
			}
		}
		for _, p := range slices.Sorted(maps.Keys(m.Servers)) {
			m.Servers[p].at.CompareAndSwap(nil, &p)
		}
		slices.SortFunc(m.prefixes, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
		f := &m.front
		f.mux, f.Handler, f.Refused = m, m.Handler, m.Refused
		f.Hosts = m.Hosts
		f.Limits, f.HTTPTimeout = m.Limits, m.HTTPTimeout
		f.MaxHandshakes, f.MaxHandshakesPerAddress = m.MaxHandshakes, m.MaxHandshakesPerAddress
		f.MaxHTTP, f.MaxHTTPPerAddress = m.MaxHTTP, m.MaxHTTPPerAddress
		f.Proxies = m.Proxies
	})
	if m.err != nil {
		panic(m.err)
	}
	return &m.front
}

// Accept returns the Protocol of a new connection. It is the function to give to
// engine.Engine.Listen. It panics if Check returns an error.
func (m *Mux) Accept(c *engine.Conn) engine.Protocol { return m.prepare().Accept(c) }

// Load is Server.Load for all Servers of the Mux. A connection belongs to the Server that has the
// same path as the one in the old process; of several paths of one Server it is the first in
// alphabetical order.
func (m *Mux) Load(c *engine.Conn, state []byte) (engine.Protocol, error) {
	front := m.prepare()
	r := saved.NewReader(state)
	kind := readKind(&r)
	if r.Err() != nil || kind != savedOpen {
		return front.load(c, kind, &r)
	}
	path := string(r.Bytes(math.MaxUint16))
	s := m.Servers[path]
	if s == nil {
		return nil, fmt.Errorf("websocket: Mux has no Server at %q for a connection from another process", path)
	}
	return s.load(c, kind, &r)
}

// path returns where a Mux has the Server, or "".
func (s *Server) path() string {
	if p := s.at.Load(); p != nil {
		return *p
	}
	return ""
}

// ListenAndServe is Server.ListenAndServe for all Servers of the Mux.
func (m *Mux) ListenAndServe(ctx context.Context, addr string) error {
	if err := m.Check(); err != nil {
		return err
	}
	return listenAndServe(ctx, addr, m.Accept)
}

// server returns the Server for a path as it was sent; nil: there is none.
func (m *Mux) server(raw []byte) *Server {
	if bytes.IndexByte(raw, '%') >= 0 {
		decoded, err := url.PathUnescape(string(raw))
		if err != nil {
			return nil
		}
		raw = []byte(decoded)
	}
	if bytes.Contains(raw, []byte("//")) || bytes.Contains(raw, []byte("/.")) && hasDots(string(raw)) {
		return nil
	}
	if s := m.Servers[string(raw)]; s != nil {
		return s
	}
	for _, p := range m.prefixes {
		if len(raw) >= len(p) && string(raw[:len(p)]) == p {
			return m.Servers[p]
		}
	}
	return nil
}

// hasDots reports whether an element of p is "." or "..".
func hasDots(p string) bool {
	for element := range strings.SplitSeq(p, "/") {
		if element == "." || element == ".." {
			return true
		}
	}
	return false
}
