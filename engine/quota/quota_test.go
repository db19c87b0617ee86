package quota_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/myriadnet/myriad/engine/quota"
)

func ExampleLimiter() {
	logins := quota.Limiter{Max: 1000, MaxPerClient: 1}
	client := quota.Prefix(netip.MustParseAddr("2001:db8::1"))
	held, err := logins.Acquire(client)
	fmt.Println(err)
	// of the same subscriber
	_, err = logins.Acquire(quota.Prefix(netip.MustParseAddr("2001:db8::2")))
	fmt.Println(err)
	logins.Release(held)
	_, err = logins.Acquire(client)
	fmt.Println(err)
	// Output:
	// <nil>
	// quota: limit per client reached
	// <nil>
}

func TestLimiter(t *testing.T) {
	a, b := quota.Prefix(netip.MustParseAddr("192.0.2.1")), quota.Prefix(netip.MustParseAddr("192.0.2.2"))
	for _, test := range []struct {
		name           string
		max, perClient int
		clients        []netip.Prefix
		want           []error
	}{
		{name: "no limit", clients: []netip.Prefix{a, a, b}, want: []error{nil, nil, nil}},
		{name: "total", max: 2, clients: []netip.Prefix{a, a, b}, want: []error{nil, nil, quota.ErrTotal}},
		{name: "per client", perClient: 1, clients: []netip.Prefix{a, a, b}, want: []error{nil, quota.ErrClient, nil}},
		{name: "both", max: 2, perClient: 1, clients: []netip.Prefix{a, a, b, b},
			want: []error{nil, quota.ErrClient, nil, quota.ErrTotal}},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := quota.Limiter{Max: test.max, MaxPerClient: test.perClient}
			for range 2 { // what was released can be acquired again
				var held []*quota.Client
				for i, client := range test.clients {
					c, err := l.Acquire(client)
					if !errors.Is(err, test.want[i]) {
						t.Fatalf("Acquire %d: %v, want %v", i, err, test.want[i])
					}
					if err == nil {
						held = append(held, c)
					}
				}
				if l.Used() != len(held) {
					t.Fatalf("%d in use, want %d", l.Used(), len(held))
				}
				for _, c := range held {
					l.Release(c)
				}
				if l.Used() != 0 {
					t.Fatalf("%d in use after all were released", l.Used())
				}
			}
		})
	}
}

// TestFairShare: with a fixed share of a quarter, four prefixes took everything.
func TestFairShare(t *testing.T) {
	for _, clients := range []int{1, 4, 20} {
		l := quota.Limiter{Max: 1000, Fair: true}
		for took := true; took; {
			took = false
			for i := range clients {
				client := quota.Prefix(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
				if _, err := l.Acquire(client); err == nil {
					took = true
				} else if !errors.Is(err, quota.ErrClient) {
					t.Fatal(err)
				}
			}
		}
		if used, free := l.Used(), 1000/(clients+1); used > 1000-free+clients || used < 1000-free-clients {
			t.Errorf("%d greedy clients use %d of 1,000", clients, used)
		}
		if _, err := l.Acquire(quota.Prefix(netip.MustParseAddr("198.51.100.1"))); err != nil {
			t.Errorf("another one beside %d: %v", clients, err)
		}
	}
}

func TestPrefix(t *testing.T) {
	for _, test := range []struct{ name, addr, want string }{
		{name: "IPv4", addr: "192.0.2.1", want: "192.0.2.1/32"},
		{name: "IPv6", addr: "2001:db8:1:2:3:4:5:6", want: "2001:db8:1:2::/64"},
		{name: "zone", addr: "fe80::1%eth0", want: "fe80::/64"},
		{name: "unix", want: "invalid Prefix"},
	} {
		var a netip.Addr
		if test.addr != "" {
			a = netip.MustParseAddr(test.addr)
		}
		if got := quota.Prefix(a).String(); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// TestReserve: what is reserved counts in total, and for a client once it is assigned.
func TestReserve(t *testing.T) {
	a, b := quota.Prefix(netip.MustParseAddr("192.0.2.1")), quota.Prefix(netip.MustParseAddr("192.0.2.2"))
	for _, l := range []*quota.Limiter{{Max: 3, MaxPerClient: 1}, {Max: 3, Fair: true}} {
		for range 2 { // what was given back can be taken again
			for range 3 {
				if err := l.Reserve(); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Reserve(); !errors.Is(err, quota.ErrTotal) {
				t.Errorf("a fourth one: %v", err)
			}
			first, err := l.Assign(a)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Assign(a); !errors.Is(err, quota.ErrClient) {
				t.Errorf("a second one of a client: %v", err)
			}
			second, err := l.Assign(b)
			if err != nil {
				t.Errorf("one of another client: %v", err)
			}
			for _, c := range []*quota.Client{first, second, nil} {
				l.Release(c)
			}
			if n := l.Used(); n != 0 {
				t.Errorf("%d are in use", n)
			}
		}
	}
}

// TestRefusedClientsLeaveNothing: a client that used nothing and was refused stayed in memory, when
// AcquireAnyway had exceeded Max.
func TestRefusedClientsLeaveNothing(t *testing.T) {
	l := quota.Limiter{Max: 2, Fair: true}
	if err := l.Reserve(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l.AcquireAnyway(quota.Prefix(netip.MustParseAddr("192.0.2.1")))
	}
	n := uint32(0)
	allocs := testing.AllocsPerRun(1000, func() {
		n++
		client := quota.Prefix(netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}))
		if _, err := l.Assign(client); err != quota.ErrClient {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations for each client that is refused", allocs)
	}
}
