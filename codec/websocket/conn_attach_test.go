package websocket_test

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// attached notes what it is told.
type attached struct {
	name  string
	told  chan string
	panic bool
}

func (a *attached) Flushed(*websocket.Conn) { a.told <- a.name + " flushed" }

func (a *attached) Closed(c *websocket.Conn, err error) {
	a.told <- fmt.Sprintf("%s closed, %v", a.name, c.Attach(a))
	if a.panic {
		panic("in Closed")
	}
}

// TestAttachments: attachments hear of the end in their order, before Close, even if one of them
// panics, and not after Detach.
func TestAttachments(t *testing.T) {
	told := make(chan string, 16)
	a, b, c := &attached{"a", told, false}, &attached{"b", told, true}, &attached{"c", told, false}
	p := wstest.Dial(t, wstest.Serve(t, &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			if err := h.Conn.Attach(a); err != engine.ErrClosed {
				t.Errorf("before Open: %v", err)
			}
		},
		Open: func(conn *websocket.Conn) {
			conn.Attach(&attached{"gone", told, false})
			gone := conn.Attachments()
			conn.Attach(b)
			conn.Detach(gone[0])
			conn.Attach(c)
			conn.Detach(a)
			if all := conn.Attachments(); len(all) != 2 || all[0] != b || all[1] != c || len(gone) != 1 {
				t.Errorf("%v", all)
			}
		},
		Close: func(conn *websocket.Conn, err error) {
			told <- fmt.Sprint("Close, ", len(conn.Attachments()))
		},
	}), nil)
	p.Close(wsproto.NormalClosure, "")
	for _, want := range []string{"b closed, engine: closed", "c closed, engine: closed", "Close, 0"} {
		if got := <-told; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestAttachmentFlushed: an attachment hears when a peer that has not read has caught up.
func TestAttachmentFlushed(t *testing.T) {
	told := make(chan string, 16)
	const size = 32 << 20
	p := wstest.Dial(t, wstest.Serve(t, &websocket.Server{
		Open: func(c *websocket.Conn) {
			c.Attach(&attached{"a", told, false})
			c.Send(websocket.Binary, make([]byte, size))
			if c.Pressure() == engine.Sent {
				t.Error("the kernel has taken everything")
			}
		},
	}), nil)
	if _, data := p.Message(); len(data) != size {
		t.Errorf("%d bytes", len(data))
	}
	if got := <-told; got != "a flushed" {
		t.Error(got)
	}
}
