package wsconn_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestJSON: what cannot be encoded or decoded does not harm the connection.
func TestJSON(t *testing.T) {
	type greeting struct{ Name string }
	c, p := wstest.Server(t, nil)
	if err := c.WriteJSON(deadline(t), greeting{"world"}); err != nil {
		t.Fatal(err)
	}
	p.Expect(wsproto.Text, `{"Name":"world"}`)
	if err := c.WriteJSON(deadline(t), t.Fatal); !errors.As(err, new(*json.UnsupportedTypeError)) {
		t.Errorf("a function: %v", err)
	}
	p.Send(wsproto.Text, `{"Name":`)
	p.Send(wsproto.Text, `{"Name":1}`)
	p.Send(wsproto.Binary, `{"Name":"Myriad"}`)
	var g greeting
	if err := c.ReadJSON(deadline(t), &g); !errors.As(err, new(*json.SyntaxError)) {
		t.Errorf("half of it: %v", err)
	}
	if err := c.ReadJSON(deadline(t), &g); !errors.As(err, new(*json.UnmarshalTypeError)) {
		t.Errorf("another type: %v", err)
	}
	if err := c.ReadJSON(deadline(t), &g); err != nil || g.Name != "Myriad" {
		t.Errorf("%v, %v", g, err)
	}
	p.CloseNow()
	if err := c.ReadJSON(deadline(t), &g); errors.As(err, new(*wsconn.CloseError)) || err == nil {
		t.Errorf("after the end: %v", err)
	}
}
