package soak

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// peersPerKind is how many peers of each kind there are at a time.
const peersPerKind = 2

// kinds returns the peers of a generation that are goroutines, by name.
func kinds() map[string]func(*generation, *rand.Rand) error {
	echo := func(mode string, secure bool, address func(*generation) string) func(*generation, *rand.Rand) error {
		return func(g *generation, rng *rand.Rand) error { return g.echo(rng, address(g), mode, secure) }
	}
	plain := func(g *generation) string { return g.plain }
	secure := func(g *generation) string { return g.secure }
	all := map[string]func(*generation, *rand.Rand) error{
		"TCP echo":                echo("echo", false, plain),
		"TLS echo":                echo("echo", true, secure),
		"released connection":     echo("release", false, plain),
		"released TLS connection": echo("release", true, secure),
		"panic after Release":     echo("release, panic", false, plain),
		"adopted connection":      echo("echo", false, func(g *generation) string { return g.raw.Addr().String() }),
		"datagrams":               (*generation).datagrams,
		"page":                    (*generation).page,
		"wild TCP connection":     (*generation).wildTCP,
		"wild WebSocket":          (*generation).wildWebSocket,
		"slow reader":             (*generation).slowReader,
		"member of a room":        (*generation).member,
		"Stats":                   (*generation).watch,
		"post":                    (*generation).posts,
	}
	for name, v := range webSockets {
		all[name] = func(g *generation, r *rand.Rand) error { return g.webSocket(r, v(g)) }
	}
	return all
}

// begin lets all peers come.
func (g *generation) begin() {
	for name, f := range kinds() {
		for range peersPerKind {
			g.peer(name, func(rng *rand.Rand) error { return f(g, rng) })
		}
	}
	g.helpers.Go(g.talk)
	for range peersPerKind {
		g.dialAgain()
		g.dialWebSocketAgain()
	}
}

// pattern fills a slice with bytes that differ from one place to another.
func pattern(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	x := rng.Uint64()
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = byte(x >> 56)
	}
	return b
}

// numbered returns a message of size bytes or a few more that tells its number.
func numbered(number uint64, size int) []byte {
	return append(binary.BigEndian.AppendUint64(nil, number), bytes.Repeat([]byte{byte(number)}, size)...)
}

// upTo returns a number that is small more often than large.
func upTo(rng *rand.Rand, bits int) int { return rng.IntN(1 << (1 + rng.IntN(bits))) }

// same returns an error if got is not the beginning of want, or not all of it although it should
// be.
func same(got, want []byte, whole bool) error {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return wrongf("byte %d of %d is wrong", i, len(want))
		}
	}
	if len(got) > len(want) {
		return wrongf("%d bytes instead of %d", len(got), len(want))
	}
	if whole && len(got) < len(want) {
		return fmt.Errorf("%d bytes instead of %d", len(got), len(want))
	}
	return nil
}

// watch asks the engine about itself.
func (g *generation) watch(rng *rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := g.eng.Stats(ctx); err != nil {
		return err
	}
	_, err := g.eng.Inspect(ctx, time.Duration(rng.IntN(50))*time.Millisecond, 3)
	return err
}

// posts waits for a function that panics after it was called.
func (g *generation) posts(rng *rand.Rand) error {
	ran := make(chan bool)
	if err := g.eng.Post(rng.IntN(g.eng.Loops()), func() {
		close(ran)
		panic("posted")
	}); err != nil {
		return err
	}
	select {
	case <-ran:
		<-time.After(5 * time.Millisecond) // others need the loop as well
		return nil
	case <-time.After(patience):
		return wrongf("a posted function does not run")
	}
}

// page asks net/http for something, on the port of the WebSockets.
func (g *generation) page(rng *rand.Rand) error {
	body := pattern(rng, upTo(rng, 18))
	client := http.Client{Transport: g.world.web, Timeout: patience}
	resp, err := client.Post("http://"+g.ws+"/page", "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %q", resp.StatusCode, got)
	}
	if e := same(got, body, err == nil); e != nil {
		return e
	}
	return err
}

// datagrams sends some and wants each back. The kernel may lose one.
func (g *generation) datagrams(rng *rand.Rand) error {
	nc, err := net.Dial("udp", g.packets)
	if err != nil {
		return err
	}
	defer nc.Close()
	got, sent := make([]byte, engine.MaxDatagram), make(map[string]bool)
	for range 20 {
		b := pattern(rng, 9+upTo(rng, 10))
		tries := 0
		for ; tries < 100; tries++ {
			if rng.IntN(10) == 0 {
				nc.Write([]byte("panic"))
			}
			if _, err := nc.Write(b); err != nil {
				return err
			}
			nc.SetReadDeadline(time.Now().Add(patience / 100))
			sent[string(b)] = true
			n, err := nc.Read(got)
			for err == nil && string(got[:n]) != string(b) {
				if !sent[string(got[:n])] {
					return wrongf("a datagram of %d bytes was not sent", n)
				}
				n, err = nc.Read(got) // that was late
			}
			if err == nil {
				break
			}
			if g.ending.Load() {
				return err
			}
		}
		if tries == 100 {
			return fmt.Errorf("no datagram comes back")
		}
	}
	return nil
}
