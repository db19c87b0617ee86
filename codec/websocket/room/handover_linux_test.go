package room_test

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/room"
	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/engine"
)

// TestSeatsDoNotMove: a new process takes the listeners over. The connections of a Room stay, are
// counted by what keeps them, and their clients are told to come back, with code 1001.
func TestSeatsDoNotMove(t *testing.T) {
	for _, test := range []struct {
		reason string
		h      *websocket.Handover
	}{
		{"no websocket.Handover", nil},
		{"no websocket.Handover.Save", new(websocket.Handover)},
	} {
		t.Run(test.reason, func(t *testing.T) {
			old := open(t, room.Config{})
			old.server.Handover = test.h
			g := old.dial(t, "")
			if _, err := g.read(); err != nil {
				t.Fatal(err)
			}
			offered := make(chan error, 1)
			h := engine.Handover{Path: filepath.Join(t.TempDir(), "handover"), Patience: 50 * time.Millisecond}
			go func() { offered <- h.Offer(context.Background(), old.engine) }()

			next, err := engine.New(engine.Config{Loops: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			to := engine.Handover{Path: h.Path, Load: old.server.Load}
			for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
				found, err := to.Inherit(t.Context(), next)
				if err != nil || time.Now().After(deadline) {
					t.Fatalf("found %t, %v", found, err)
				}
				if found {
					break
				}
			}
			if _, err := next.Listen("tcp", "127.0.0.1:0", old.server.Accept); err != nil {
				t.Fatal(err)
			}
			go next.Run(context.Background())
			_, err = g.read()
			var e *wsconn.CloseError
			if !errors.As(err, &e) || e.Code != wsconn.GoingAway {
				t.Errorf("the client has %v, want code 1001", err)
			}
			g.Close(wsconn.NormalClosure, "")
			if err := <-offered; !errors.Is(err, engine.ErrHandedOver) {
				t.Error(err)
			}
			if got, want := old.engine.Handover().Stayed, map[string]int{test.reason: 1}; !maps.Equal(got, want) {
				t.Errorf("stayed: %v, want %v", got, want)
			}
		})
	}
}
