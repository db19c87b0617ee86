package tlslayer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// TestListenForNetHTTP serves https by net/http behind a listener of ours. Handlers see the
// client's certificate.
func TestListenForNetHTTP(t *testing.T) {
	e := run(t, engine.Config{Loops: 2})
	config := testConfig().Clone()
	config.ClientAuth = tls.RequestClientCert
	l := must(New(Config{TLS: config}))
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = filepath.Join(t.TempDir(), "s")
		}
		ln := must(l.Listen(e, engine.ListenConfig{MaxConnections: 1}, network, address))
		web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS != nil && len(r.TLS.PeerCertificates) == 1)
		})}
		served := make(chan error, 1)
		go func() { served <- web.Serve(ln) }()
		client := config.Clone()
		transport := &http.Transport{TLSClientConfig: client}
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, ln.Addr().String())
		}
		get := func() error {
			resp, err := (&http.Client{Transport: transport, Timeout: 20 * time.Second}).Get("https://example.com/")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "true" {
				return fmt.Errorf("the Handler says %q, error %w", b, err)
			}
			return nil
		}
		for range 2 {
			if err := get(); err != nil {
				t.Errorf("%s: %v", network, err)
			}
		}
		// The listener counts it until it is closed.
		if nc, err := tls.Dial(network, ln.Addr().String(), client); err == nil {
			nc.Close()
			t.Errorf("%s: there is a second connection", network)
		}
		transport.CloseIdleConnections()
		waitFor(t, func() bool { return get() == nil }) // after the end of the first
		transport.CloseIdleConnections()
		web.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("%s: %v", network, err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: Accept after Close: %v", network, err)
		}
	}
}

// TestListenerClosesWhatNobodyAccepts: a connection that is ready when the listener closes, and one
// whose handshake is done later, do not stay open.
func TestListenerClosesWhatNobodyAccepts(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	l := must(New(Config{TLS: testConfig()}))
	ln := must(l.Listen(e, engine.ListenConfig{}, "tcp", "127.0.0.1:0"))
	early := dial(t, ln.Addr().String(), testConfig())
	late := tls.Client(must(net.Dial("tcp", ln.Addr().String())), testConfig())
	defer late.Close()
	late.SetDeadline(time.Now().Add(20 * time.Second))
	waitFor(t, func() bool { return l.Stats().Succeeded > 0 && must(e.Stats(t.Context())).Accepted == 2 })
	ln.Close()
	for _, c := range []*tls.Conn{early, late} {
		if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d bytes, error %v", n, err)
		}
	}
}

// TestListenerCloseDoesNotWaitForPeers that take nothing: it took five seconds for each of those
// that Accept had not returned.
func TestListenerCloseDoesNotWaitForPeers(t *testing.T) {
	const peers = 3
	e := run(t, engine.Config{Loops: 1})
	l := must(New(Config{TLS: testConfig()}))
	lc := engine.ListenConfig{WriteBuffer: 4 << 10}
	ln := must(l.Listen(e, lc, "tcp", "127.0.0.1:0")).(*listener)
	for range peers {
		dial(t, ln.Addr().String(), testConfig())
	}
	waitFor(t, func() bool {
		ln.mu.Lock()
		defer ln.mu.Unlock()
		return len(ln.ready) == peers
	})
	for _, c := range ln.ready {
		for err := error(nil); err == nil; { // until the kernel takes no more
			c.Conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, err = c.Conn.Write(make([]byte, 64<<10))
		}
	}
	begin := time.Now()
	if err := ln.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > closeTimeout/2 {
		t.Errorf("Close took %v", took)
	}
}

// TestConnectionsWaitForAcceptInBounds: without a limit of its own, a listener that nobody asks
// kept as many connections as there were descriptors.
func TestConnectionsWaitForAcceptInBounds(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	ln := must(must(New(Config{TLS: testConfig()})).Listen(e, engine.ListenConfig{}, "tcp", "127.0.0.1:0")).(*listener)
	ln.mu.Lock()
	ln.ready = make([]*netConn, maxReady)
	ln.mu.Unlock()
	nc := dial(t, ln.Addr().String(), testConfig())
	if n, err := nc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, error %v; want the end", n, err)
	}
	ln.mu.Lock()
	ln.ready = nil
	ln.mu.Unlock()
	ln.Close()
}

// TestListenRefusesHTTP2: net/http would answer a client that has agreed on HTTP/2 by HTTP/1.1.
func TestListenRefusesHTTP2(t *testing.T) {
	e := run(t, engine.Config{Loops: 1})
	config := testConfig().Clone()
	config.NextProtos = []string{"h2", "http/1.1"}
	if _, err := must(New(Config{TLS: config})).Listen(e, engine.ListenConfig{}, "tcp", "127.0.0.1:0"); err == nil {
		t.Error("no error")
	}
}
