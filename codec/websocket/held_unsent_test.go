package websocket

import (
	"errors"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// TestUnsentCountsPreparedOnce: a prepared message that waited for the end of another counted
// twice.
func TestUnsentCountsPreparedOnce(t *testing.T) {
	p := Prepare(Text, make([]byte, 100))
	op, data := p.Message()
	o := &outgoing{held: []held{{op: op, data: data, prepared: p}, {op: Text, data: make([]byte, 10)}}}
	var e *engine.UnsentError
	if err := o.unsent(nil); !errors.As(err, &e) || e.Bytes != 110 {
		t.Errorf("%v", err)
	}
}
