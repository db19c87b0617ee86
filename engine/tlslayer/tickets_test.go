package tlslayer

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// resumes connects a client with a cache to a server, and reports whether it has resumed a session.
func resumes(t *testing.T, server, client *Layer) (resumed bool) {
	t.Helper()
	s, cl, err := connectHandshakes(server, client, func(s, _ *handshake) { resumed = s.info.DidResume })
	if err != nil {
		t.Fatal(err)
	}
	if err := selfTestSend(s, cl, 10); err != nil {
		t.Fatal(err)
	}
	return resumed
}

// TestTicketsMove: a session of the old process is resumed by the new one, if that has its keys.
func TestTicketsMove(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := changed(func(c *tls.Config) { c.MaxVersion = version })
		old, successor, foreign := newLayer(Config{TLS: c}), newLayer(Config{TLS: c}), newLayer(Config{TLS: c})
		cc := c.Clone()
		cc.ClientSessionCache = tls.NewLRUClientSessionCache(4)
		client := newLayer(Config{TLS: cc})
		keys := old.Server().(layer.Loader).SaveKeys(nil) // before the first handshake
		if err := successor.Server().(layer.Loader).LoadKeys(keys); err != nil {
			t.Fatal(err)
		}
		clear(keys)
		for i, server := range []*Layer{old, successor, old, foreign} {
			// the cache's goroutine may be a little late
			want, deadline := i == 1 || i == 2, time.Now().Add(5*time.Second)
			got := resumes(t, server, client)
			for ; got != want && want && time.Now().Before(deadline); got = resumes(t, server, client) {
			}
			if got != want {
				t.Errorf("%s, connection %d: resumed %t", tls.VersionName(version), i, got)
			}
		}
	}
}

// TestTicketKeysOfTheUser: keys that the user sets are used instead of our own.
func TestTicketKeysOfTheUser(t *testing.T) {
	var servers [2]*Layer
	for i := range servers {
		c := testConfig().Clone()
		c.SetSessionTicketKeys([][32]byte{{1, 2, 3}})
		servers[i] = newLayer(Config{TLS: c})
	}
	cc := testConfig().Clone()
	cc.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	client := newLayer(Config{TLS: cc})
	deadline := time.Now().Add(5 * time.Second)
	for resumes(t, servers[0], client); !resumes(t, servers[1], client); {
		if time.Now().After(deadline) {
			t.Fatal("the other process with the same keys does not resume")
		}
	}
}

// TestTicketKeysRotate: there is a new key after a day, and none is kept for more than a week.
func TestTicketKeysRotate(t *testing.T) {
	var keys ticketKeys
	c := new(tls.Config)
	now := time.Unix(1_800_000_000, 0)
	made := make(map[[ticketKeyLen]byte]bool)
	for range 10 * 24 {
		keys.rotate(c, now)
		made[keys.keys[0].key] = true
		if age := now.Unix() - keys.keys[len(keys.keys)-1].made; age >= ticketOld {
			t.Fatalf("a key of %d seconds is kept", age)
		}
		now = now.Add(time.Hour)
	}
	if len(made) != 10 || len(keys.keys) != 7 {
		t.Errorf("%d keys were made in ten days, %d are kept", len(made), len(keys.keys))
	}
	var loaded ticketKeys
	loaded.rotate(c, now.Add(-time.Hour))
	own := loaded.keys[0]
	if err := loaded.load(c, keys.save(nil), now); err != nil || len(loaded.keys) != 7 || loaded.keys[0] != own {
		t.Errorf("%d keys are loaded, %v", len(loaded.keys), err)
	}
	if err := loaded.load(c, keys.save(nil), now); err != nil || len(loaded.keys) != 7 {
		t.Errorf("%d keys are loaded twice, %v", len(loaded.keys), err)
	}
}

// TestMalformedTicketKeys are refused, and change nothing.
func TestMalformedTicketKeys(t *testing.T) {
	var keys ticketKeys
	c := new(tls.Config)
	keys.rotate(c, time.Now())
	good := keys.save(nil)
	for i := range good {
		if err := keys.load(c, good[:i], time.Now()); err == nil {
			t.Errorf("loaded %d bytes of %d", i, len(good))
		}
	}
	if err := keys.load(c, append(good, 0), time.Now()); err == nil || len(keys.keys) != 1 {
		t.Errorf("loaded with a byte too many, %d keys", len(keys.keys))
	}
}
