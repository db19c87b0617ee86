package wsconn_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
)

// TestReadThatWaitedForAnother: it overwrote the message that the other one had returned, which was
// to be valid until the next call.
func TestReadThatWaitedForAnother(t *testing.T) {
	for role, ends := range roles {
		synctest.Test(t, func(t *testing.T) {
			c, p := ends(t, nil)
			var got [2][]byte
			for i := range got {
				go func() {
					_, data, err := c.Read(t.Context())
					if got[i] = data; err != nil {
						t.Error(err)
					}
				}()
				synctest.Wait()
			}
			p.Send(wsconn.Text, "one")
			synctest.Wait()
			p.Send(wsconn.Text, "two")
			synctest.Wait()
			if string(got[0]) != "one" || string(got[1]) != "two" {
				t.Errorf("%s: got %q", role, got)
			}
			c.CloseNow()
		})
	}
}

// TestManyReadersOfJSON: one of them parsed what another one had received meanwhile.
func TestManyReadersOfJSON(t *testing.T) {
	client, server := wstest.Pipe(t, nil)
	const n = 1000
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range n / 4 {
				var s string
				if err := server.ReadJSON(deadline(t), &s); err != nil {
					t.Error(err)
					return
				}
				if s == "" || strings.Trim(s, s[:1]) != "" {
					t.Errorf("got %q", s)
				}
			}
		})
	}
	for i := range n {
		if err := client.WriteJSON(deadline(t), strings.Repeat(string(rune('a'+i%26)), 100+i)); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
