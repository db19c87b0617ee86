package websocket_test

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// detacher detaches another one in each call.
type detacher struct {
	other websocket.Attachment
	done  chan string
}

func (d *detacher) Flushed(c *websocket.Conn) {
	c.Detach(d.other)
	d.done <- "flushed"
}

func (d *detacher) Closed(c *websocket.Conn, _ error) {
	c.Detach(d.other)
	d.done <- "closed"
}

// TestDetachedInTheSameRound: an attachment that another one detaches gets no more calls.
func TestDetachedInTheSameRound(t *testing.T) {
	for _, test := range []struct {
		name string
		size int // of what has to wait
		want string
	}{{"closed", 0, "closed"}, {"flushed", 32 << 20, "flushed"}} {
		t.Run(test.name, func(t *testing.T) {
			told := make(chan string, 16)
			end := make(chan int, 1)
			p := wstest.Dial(t, wstest.Serve(t, &websocket.Server{
				Open: func(c *websocket.Conn) {
					other := &attached{"other", told, false}
					c.Attach(&detacher{other, told})
					c.Attach(other)
					c.Attach(&attached{"last", told, false})
					if test.size > 0 {
						c.Send(websocket.Binary, make([]byte, test.size))
						if c.Pressure() == engine.Sent {
							t.Error("the kernel has taken everything")
						}
					}
				},
				Close: func(c *websocket.Conn, _ error) { end <- len(c.Attachments()) },
			}), nil)
			if test.size > 0 {
				p.Message()
			} else {
				p.Close(wsproto.NormalClosure, "")
				if n := <-end; n != 0 {
					t.Errorf("%d attachments are left", n)
				}
			}
			if got := <-told; got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			if got := <-told; got[:4] != "last" {
				t.Errorf("%q, want the last one", got)
			}
		})
	}
}
