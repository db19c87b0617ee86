// Package quota limits how many of something are in use at a time: in total, and per client
// address.
//
// A Listener of package engine counts connections with it (ListenConfig.MaxConnections and
// MaxPerAddress). Use it for what your program wants to limit in the same way, such as log-ins or
// downloads in progress, with Conn.RemotePrefix as the client.
package quota

import (
	"errors"
	"net/netip"
	"sync"
)

// The errors of Acquire.
var (
	// ErrTotal means that Limiter.Max are in use.
	ErrTotal = errors.New("quota: limit reached")
	// ErrClient means that the client uses Limiter.MaxPerClient, or its share of a Fair Limiter.
	ErrClient = errors.New("quota: limit per client reached")
)

// Limiter counts what is in use. The zero value has no limits. Its fields must not change
// once it is used. Its methods may be called from any goroutine.
type Limiter struct {
	Max          int // how many may be in use at a time; 0: no limit
	MaxPerClient int // how many of these one client may use; 0: no limit

	// Fair lets a client use as many as are left for others, at most. So one client gets half of
	// Max, four get a fifth each, and one that uses nothing finds something free, however many
	// others take all they can get. Max must not be 0.
	Fair bool

	mu      sync.Mutex
	used    int
	clients map[netip.Prefix]*Client
	spare   *Client // a free one, for the next client
}

// Client is a client that uses something. It belongs to the Limiter.
type Client struct {
	prefix netip.Prefix
	used   int
}

// Acquire takes one for client, which is ignored without a limit per client. The caller gives the
// result back to Release, once; it is nil without a limit per client, too. The error is ErrTotal or
// ErrClient, when nothing was taken.
func (l *Limiter) Acquire(client netip.Prefix) (*Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Max > 0 && l.used >= l.Max {
		return nil, ErrTotal
	}
	c, err := l.share(client, l.used)
	if err == nil {
		l.used++
	}
	return c, err
}

// AcquireAnyway is Acquire without the limits, for what is in use already, such as a connection
// that has come from another process. Acquire fails until enough were released.
func (l *Limiter) AcquireAnyway(client netip.Prefix) *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used++
	if l.MaxPerClient <= 0 && !l.Fair {
		return nil
	}
	c := l.clients[client]
	if c == nil {
		c = l.add(client)
	}
	c.used++
	return c
}

// Reserve takes one for a client that is not known yet, such as one behind a proxy. The caller
// gives it to Assign, or back to Release as nil. The error is ErrTotal.
func (l *Limiter) Reserve() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Max > 0 && l.used >= l.Max {
		return ErrTotal
	}
	l.used++
	return nil
}

// Assign counts for client what Reserve has taken. The caller gives the result back to Release. If
// the error is ErrClient, Reserve's still has to be given back.
func (l *Limiter) Assign(client netip.Prefix) (*Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.share(client, l.used-1)
}

// share counts one for client. others is how many are used without it.
func (l *Limiter) share(client netip.Prefix, others int) (*Client, error) {
	if l.MaxPerClient <= 0 && !l.Fair {
		return nil, nil
	}
	c, used := l.clients[client], 0
	if c != nil {
		used = c.used
	}
	if l.MaxPerClient > 0 && used >= l.MaxPerClient || l.Fair && used >= l.Max-others {
		return nil, ErrClient
	}
	if c == nil { // not before: a client that is refused must leave nothing
		c = l.add(client)
	}
	c.used++
	return c, nil
}

func (l *Limiter) add(client netip.Prefix) *Client {
	if l.clients == nil {
		l.clients = make(map[netip.Prefix]*Client)
	}
	c := l.spare
	if l.spare = nil; c == nil {
		c = new(Client)
	}
	c.prefix = client
	l.clients[client] = c
	return c
}

// Release gives back what Acquire took.
func (l *Limiter) Release(c *Client) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used--
	if c == nil {
		return
	}
	if c.used--; c.used == 0 {
		delete(l.clients, c.prefix)
		l.spare = c
	}
}

// Used returns how many are in use.
func (l *Limiter) Used() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// Prefix returns what counts as one client: an IPv4 address, or the /64 prefix of an IPv6 address,
// which is what one subscriber has. The zero Addr, as of the peers of a unix socket, gives the zero
// Prefix: one client.
func Prefix(a netip.Addr) netip.Prefix {
	bits := 64
	a = a.Unmap()
	if a.Is4() {
		bits = 32
	}
	p, _ := a.WithZone("").Prefix(bits) // the error: a is the zero Addr
	return p
}
