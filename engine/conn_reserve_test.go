package engine_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestReservedBytesGoOutInOrder: with what Write took before and after, and nothing can be reserved
// where nothing can be written.
func TestReservedBytesGoOutInOrder(t *testing.T) {
	var c *engine.Conn
	feed := func(b []byte) (int, error) {
		if c.Reserve(1) != nil {
			t.Error("room before there is a cork")
		}
		reserved := 0
		for i := range 40_000 {
			if r := c.Reserve(3); r != nil {
				copy(r, []byte{byte(i), byte(i >> 8), 0})
				reserved++
				continue
			}
			c.Write([]byte{byte(i), byte(i >> 8), 0})
		}
		if reserved < 30_000 {
			t.Errorf("%d of 40,000 were reserved", reserved)
		}
		c.Close()
		if c.Reserve(1) != nil {
			t.Error("room behind Close")
		}
		return len(b), nil
	}
	s := serve(t, engine.Config{Loops: 1}, func(conn *engine.Conn) engine.Protocol {
		c = conn
		return &proto{feed: feed}
	})
	client := s.dial(t)
	client.Write([]byte("go"))
	var want []byte
	for i := range 40_000 {
		want = append(want, byte(i), byte(i>>8), 0)
	}
	if got, err := io.ReadAll(client); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes of %d, or other ones: %v", len(got), len(want), err)
	}
}
