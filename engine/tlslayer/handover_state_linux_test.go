package tlslayer

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestLoadKnowsTheClient: what TLS knows of a client that had not said anything was saved, sent,
// and dropped before Load could ask for it.
func TestLoadKnowsTheClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "handover")
	config := Config{TLS: changed(func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert })}
	s := succeed(t, path, config)
	dial(t, s.addr, changed(nil))
	<-s.conns
	e := must(engine.New(engine.Config{Loops: 1}))
	defer e.Close()
	loaded := make(chan int, 1)
	h := &engine.Handover{Path: path, Layer: must(New(config)).Server(),
		Load: func(c *engine.Conn, _ []byte) (engine.Protocol, error) {
			state, complete := ConnectionState(c)
			if !complete {
				t.Error("the state is not complete")
			}
			loaded <- len(state.PeerCertificates)
			return &saving{echoing{conn: c}}, nil
		}}
	if found, err := h.Inherit(t.Context(), e); !found || err != nil {
		t.Fatal(found, err)
	}
	go e.Run(context.Background())
	if n := <-loaded; n != 1 {
		t.Errorf("%d certificates, want 1", n)
	}
	<-s.offered
}
