package tlslayer

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine/saved"
)

// ticketKeys are the keys of session tickets that crypto/tls would otherwise make by itself, and
// tell nobody: so a new process cannot resume the sessions of the old one. They change as those of
// crypto/tls do. Keys that the user sets, by SetSessionTicketKeys of Config.TLS or of what
// GetConfigForClient returns, are used instead, and do not move: the user sets them in each
// process. Its methods may be called by any goroutine.
type ticketKeys struct {
	mu   sync.Mutex
	keys []ticketKey // the newest first, which is for new tickets
}

type ticketKey struct {
	made int64 // seconds since 1970
	key  [ticketKeyLen]byte
}

const (
	ticketKeyLen  = 32
	ticketNew     = 24 * 60 * 60 // seconds after which there is a new key
	ticketOld     = 7 * ticketNew
	maxTicketKeys = 16 // that are kept; a process makes 7
)

// rotate gives c the keys, when a new one is due.
func (t *ticketKeys) rotate(c *tls.Config, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) > 0 && now.Unix()-t.keys[0].made < ticketNew {
		return
	}
	k := ticketKey{made: now.Unix()}
	rand.Read(k.key[:])
	t.set(c, append([]ticketKey{k}, t.keys...), now)
}

// set gives c those of keys that are not too old, the first ones if they are many. t.mu is held.
func (t *ticketKeys) set(c *tls.Config, keys []ticketKey, now time.Time) {
	t.keys = nil
	var all [][ticketKeyLen]byte
	for _, k := range keys[:min(len(keys), maxTicketKeys)] {
		if now.Unix()-k.made < ticketOld {
			t.keys, all = append(t.keys, k), append(all, k.key)
		}
	}
	if len(all) > 0 {
		c.SetSessionTicketKeys(all)
	}
}

const ticketsFormat = 1

// save appends the keys: format, number, and for each when it was made, and the key.
func (t *ticketKeys) save(dst []byte) []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	dst = growSecret(dst, 2+len(t.keys)*(binary.MaxVarintLen64+ticketKeyLen))
	dst = append(dst, ticketsFormat, byte(len(t.keys)))
	for _, k := range t.keys {
		dst = append(binary.AppendUvarint(dst, uint64(k.made)), k.key[:]...)
	}
	return dst
}

// load adds the keys that save has appended, and gives all of them to c.
func (t *ticketKeys) load(c *tls.Config, b []byte, now time.Time) error {
	r := saved.NewReader(b)
	r.Check(r.Byte() == ticketsFormat)
	var loaded []ticketKey
	for n := r.Byte(); n > 0 && r.Err() == nil; n-- {
		k := ticketKey{made: min(int64(r.Uvarint(math.MaxInt64)), now.Unix())}
		copy(k.key[:], r.Take(ticketKeyLen))
		loaded = append(loaded, k)
	}
	if r.Check(len(r.Rest()) == 0); r.Err() != nil {
		return fmt.Errorf("tlslayer: keys of tickets: %w", r.Err())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.keys {
		if !slices.Contains(loaded, k) {
			loaded = append(loaded, k)
		}
	}
	slices.SortStableFunc(loaded, func(a, b ticketKey) int { return int(min(1, max(-1, b.made-a.made))) })
	t.set(c, loaded, now)
	return nil
}

// saveKeys implements layer.Loader.
func (l *Layer) saveKeys(dst []byte) []byte {
	l.tickets.rotate(l.base, time.Now()) // if no client has come yet
	return l.tickets.save(dst)
}

// loadKeys implements layer.Loader.
func (l *Layer) loadKeys(b []byte) error { return l.tickets.load(l.base, b, time.Now()) }
