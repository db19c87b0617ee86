package soak

import (
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// connect opens a connection that nothing keeps for longer than patience.
func (g *generation) connect(address string, secure bool) (net.Conn, error) {
	nc, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	nc.SetDeadline(time.Now().Add(patience))
	if secure {
		return tls.Client(nc, g.client), nil
	}
	return nc, nil
}

// echo sends bytes in pieces and wants all of them back, also those that it has half closed the
// connection behind.
func (g *generation) echo(rng *rand.Rand, address, mode string, secure bool) error {
	nc, err := g.connect(address, secure)
	if err != nil {
		return err
	}
	defer nc.Close()
	sent := pattern(rng, upTo(rng, 20))
	pieces, most := rng.Uint64(), 1+upTo(rng, 17)
	said := make(chan error, 1)
	go func() {
		rng := rand.New(rand.NewPCG(pieces, 0))
		_, err := io.WriteString(nc, mode+"\n")
		for b := sent; len(b) > 0 && err == nil; {
			n := min(len(b), 1+rng.IntN(most))
			_, err = nc.Write(b[:n])
			b = b[n:]
		}
		if err == nil {
			err = nc.(interface{ CloseWrite() error }).CloseWrite()
		}
		said <- err
	}()
	got, err := io.ReadAll(nc)
	if err != nil {
		nc.Close()
	}
	if e := <-said; err == nil {
		err = e
	}
	if e := same(got, sent, err == nil); e != nil {
		return e
	}
	return err
}

// wildTCP makes user code panic. The connection must end then, and in time.
func (g *generation) wildTCP(rng *rand.Rand) error {
	modes := []string{"feed", "exit", "error", "timer", "post", "half", "closed", ""}
	mode := modes[rng.IntN(len(modes))]
	address := g.plain
	if mode == "" {
		address = g.frail
	}
	nc, err := g.connect(address, false)
	if err != nil {
		return err
	}
	defer nc.Close()
	io.WriteString(nc, mode+"\nhello") // errors show below
	if mode == "half" || mode == "closed" {
		nc.(*net.TCPConn).CloseWrite()
	}
	if _, err = io.Copy(io.Discard, nc); isTimeout(err) {
		return wrong{fmt.Errorf("panic in %s: %w", mode, err)}
	}
	return nil
}
