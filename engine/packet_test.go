package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// packets is a PacketProtocol made of functions.
type packets struct {
	conn     *engine.PacketConn
	datagram func(from engine.PacketAddr, b []byte)
	failed   func(to engine.PacketAddr, err error)
	closed   func(err error)
}

func (p *packets) Datagram(from engine.PacketAddr, b []byte) { p.datagram(from, b) }
func (p *packets) Failed(to engine.PacketAddr, err error) {
	if p.failed != nil {
		p.failed(to, err)
	}
}
func (p *packets) Closed(err error) {
	if p.closed != nil {
		p.closed(err)
	}
}

func echoPackets(p *engine.PacketConn) engine.PacketProtocol {
	return &packets{conn: p, datagram: func(from engine.PacketAddr, b []byte) { p.WriteTo(b, from) }}
}

func listenPackets(t testing.TB, c engine.Config, network, address string,
	accept func(*engine.PacketConn) engine.PacketProtocol) (*server, *engine.PacketListener) {
	t.Helper()
	s := serve(t, c, echoes)
	pl, err := s.ListenPacket(network, address, accept)
	if err != nil {
		t.Fatal(err)
	}
	return s, pl
}

func dialPackets(t testing.TB, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	return c
}

func askPacket(t testing.TB, c net.Conn, data []byte) {
	t.Helper()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, engine.MaxDatagram+1)
	n, err := c.Read(b)
	if err != nil || !bytes.Equal(b[:n], data) {
		t.Fatalf("sent %d bytes, got %d others, %v", len(data), n, err)
	}
}

func TestPacketEcho(t *testing.T) {
	for _, c := range []struct{ network, listen, dial, host string }{
		{"udp", "127.0.0.1:0", "udp", ""},
		{"udp4", ":0", "udp4", "127.0.0.1"},
		{"udp6", "[::1]:0", "udp6", ""},
		{"udp", ":0", "udp4", "127.0.0.1"},
		{"udp", ":0", "udp6", "::1"},
	} {
		t.Run(c.network+" "+c.listen+" from "+c.dial, func(t *testing.T) {
			_, pl := listenPackets(t, engine.Config{Loops: 1}, c.network, c.listen, echoPackets)
			address := pl.String()
			if c.host != "" {
				address = net.JoinHostPort(c.host, fmt.Sprint(pl.Addr().Port()))
			}
			d := dialPackets(t, c.dial, address)
			for _, n := range []int{1, 0, 64, 1472, 1473, 9000, engine.MaxDatagram} {
				askPacket(t, d, bytes.Repeat([]byte{byte(n)}, n))
			}
		})
	}
}

func TestUnixgramEcho(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "server")
	_, pl := listenPackets(t, engine.Config{Loops: 1}, "unixgram", path, echoPackets)
	d, err := net.DialUnix("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "client"), Net: "unixgram"},
		&net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	d.SetDeadline(time.Now().Add(patience))
	askPacket(t, d, []byte("hello"))
	askPacket(t, d, bytes.Repeat([]byte("x"), 60_000))
	for range 3 {
		if _, err := d.Write([]byte("all alike")); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 100)
	for range 3 {
		if n, err := d.Read(b); string(b[:n]) != "all alike" || err != nil {
			t.Fatalf("%q, %v", b[:n], err)
		}
	}
	if err := pl.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "removed path", func() bool { _, err := os.Stat(path); return errors.Is(err, os.ErrNotExist) })
}

// TestDatagramsKeepTheirBoundariesAndPeers: many peers at once, runs of equal and of different
// sizes, some answered more than once: whatever is joined on the way, each datagram arrives as it
// was written, at whom it was written to.
func TestDatagramsKeepTheirBoundariesAndPeers(t *testing.T) {
	const peers, rounds, answers = 5, 20, 7
	_, pl := listenPackets(t, engine.Config{Loops: 1}, "udp", "127.0.0.1:0",
		func(p *engine.PacketConn) engine.PacketProtocol {
			return &packets{datagram: func(from engine.PacketAddr, b []byte) {
				for i := range answers {
					p.WriteTo(append(b, byte(i)), from)
					if i == 3 {
						p.WriteTo(nil, from) // an empty datagram is one, too
					}
				}
			}}
		})
	for i := range peers {
		d := dialPackets(t, "udp", pl.String())
		for round := range rounds {
			want := bytes.Repeat([]byte{byte(i), byte(round)}, 1+round*round)
			if _, err := d.Write(want); err != nil {
				t.Fatal(err)
			}
			for k := range answers + 1 {
				b := make([]byte, 2000)
				n, err := d.Read(b)
				if err != nil {
					t.Fatal(err)
				}
				full := append(bytes.Clone(want), byte(k))
				switch {
				case k == 4:
					full = nil
				case k > 4:
					full[len(full)-1]--
				}
				if !bytes.Equal(b[:n], full) {
					t.Fatalf("peer %d round %d answer %d: %d bytes, want %d", i, round, k, n, len(full))
				}
			}
		}
	}
}

// TestRunsOfDatagramsAreNotMixed: what goes to other peers, or has other sizes, is not joined to
// what comes before.
func TestRunsOfDatagramsAreNotMixed(t *testing.T) {
	sizes := []int{100, 100, 50, 50, 100, 99, 100}
	var peers []engine.PacketAddr
	config := engine.Config{Loops: 1}
	_, pl := listenPackets(t, config, "udp", "127.0.0.1:0", func(p *engine.PacketConn) engine.PacketProtocol {
		return &packets{datagram: func(from engine.PacketAddr, b []byte) {
			if peers = append(peers, from); len(peers) < 2 {
				p.WriteTo(b, from)
				return
			}
			for i, n := range sizes { // one peer after the other
				p.WriteTo(bytes.Repeat([]byte{byte(i)}, n), peers[0])
				p.WriteTo(bytes.Repeat([]byte{byte(i)}, n), peers[1])
			}
			for _, peer := range peers { // runs of one peer
				for i, n := range sizes {
					p.WriteTo(bytes.Repeat([]byte{byte(i)}, n), peer)
				}
			}
		}}
	})
	first, second := dialPackets(t, "udp", pl.String()), dialPackets(t, "udp", pl.String())
	askPacket(t, first, []byte("first"))
	if _, err := second.Write([]byte("second")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{first, second} {
		for i := range 2 * len(sizes) {
			b := make([]byte, 1000)
			n, err := c.Read(b)
			if k := i % len(sizes); err != nil || n != sizes[k] || b[0] != byte(k) || b[n-1] != byte(k) {
				t.Fatalf("datagram %d has %d bytes from %d to %d, %v", i, n, b[0], b[max(n-1, 0)], err)
			}
		}
	}
}

// TestJoinedDatagramsAreTakenApart: a peer that sends with UDP_SEGMENT has the kernel deliver many
// as one.
func TestJoinedDatagramsAreTakenApart(t *testing.T) {
	if !canSegment {
		t.Skip("no UDP_SEGMENT on this system")
	}
	var sizes []int
	got := make(chan []int, 100)
	config := engine.Config{Loops: 1}
	_, pl := listenPackets(t, config, "udp", "127.0.0.1:0", func(p *engine.PacketConn) engine.PacketProtocol {
		return &packets{datagram: func(from engine.PacketAddr, b []byte) {
			if sizes = append(sizes, len(b)); len(sizes) == 11 {
				got <- sizes
			}
			for _, x := range b {
				if int(x) != len(sizes)-1 {
					t.Errorf("datagram %d has a byte of %d", len(sizes)-1, x)
				}
			}
		}}
	})
	d := dialPackets(t, "udp", pl.String())
	var all []byte
	for i := range 10 {
		all = append(all, bytes.Repeat([]byte{byte(i)}, 100)...)
	}
	segment(t, d, 100)
	if _, err := d.Write(append(all, 10, 10)); err != nil {
		t.Fatal(err)
	}
	for i, n := range receive(t, "datagrams", got) {
		if want := map[bool]int{true: 2, false: 100}[i == 10]; n != want {
			t.Errorf("datagram %d has %d bytes, want %d", i, n, want)
		}
	}
}

// TestJoinedDatagramsAreSpreadOverTurns: a batch of 64 datagrams that the kernel had joined was
// delivered at once, which may be 4,096 of them.
func TestJoinedDatagramsAreSpreadOverTurns(t *testing.T) {
	const most, writes, each = 256, 20, 64
	if !canSegment {
		t.Skip("no UDP_SEGMENT on this system")
	}
	e, err := engine.NewOn(engine.Platform, engine.Config{Loops: 1, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		e.BeginShutdown()
		for e.Step() {
		}
	}()
	turn := func() {
		e.Post(0, func() {}) // so that it does not wait for events
		e.Step()
	}
	n := 0
	pl, err := e.ListenPacket("udp", "127.0.0.1:0", func(*engine.PacketConn) engine.PacketProtocol {
		return &packets{datagram: func(_ engine.PacketAddr, b []byte) {
			if len(b) != 8 || int(b[0]) != n%each || int(b[1]) != n/each {
				t.Errorf("datagram %d is %v", n, b)
			}
			n++
		}}
	})
	if err != nil {
		t.Fatal(err)
	}
	d := dialPackets(t, "udp", pl.String())
	segment(t, d, 8)
	for i := range writes {
		var b []byte
		for j := range each {
			b = append(b, byte(j), byte(i), 0, 0, 0, 0, 0, 0)
		}
		if _, err := d.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); n < writes*each; {
		before := n
		turn()
		if n-before > most {
			t.Fatalf("%d datagrams are delivered in a turn", n-before)
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d datagrams have come", n, writes*each)
		}
	}
}

// TestDatagramsDoNotAllocate: no object per datagram, none per peer.
func TestDatagramsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, address := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		_, pl := listenPackets(t, engine.Config{Loops: 1}, "udp", address, echoPackets)
		d := dialPackets(t, "udp4", net.JoinHostPort("127.0.0.1", fmt.Sprint(pl.Addr().Port()))).(*net.UDPConn)
		b := make([]byte, 64)
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := d.Write(b); err != nil {
				t.Fatal(err)
			}
			if _, err := d.Read(b); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations per datagram", address, n)
		}
	}
}
