package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// BenchmarkTickerLateness tells how late 60 ticks per second are, on an idle loop and on one that
// echoes, with that of the clients, as fast as it can. Run it with -benchtime 600x.
func BenchmarkTickerLateness(b *testing.B) {
	for _, c := range []struct {
		name    string
		clients int
	}{{"idle", 0}, {"echo", 64}} {
		b.Run(c.name, func(b *testing.B) {
			s := serve(b, engine.Config{Loops: 1}, echoes)
			clients := serve(b, engine.Config{Loops: 1}, echoes)
			for range c.clients {
				dialed := make(chan error, 1)
				err := clients.Dial(b.Context(), "tcp", s.ln.String(), engine.DialConfig{},
					func(c *engine.Conn, err error) engine.Protocol {
						dialed <- err
						if err != nil {
							return nil
						}
						c.Write(make([]byte, 256))
						return echoOn(c)
					})
				if err != nil {
					b.Fatal(err)
				}
				if err := receive(b, "connection", dialed); err != nil {
					b.Fatal(err)
				}
			}
			late := make([]time.Duration, 0, b.N)
			done := make(chan struct{})
			ticker, err := s.NewTicker(0, time.Second/60, func(k engine.Tick) {
				if len(late) < b.N {
					if late = append(late, k.Late()); len(late) == b.N {
						close(done)
					}
				}
			})
			if err != nil {
				b.Fatal(err)
			}
			<-done
			ticker.Stop()
			slices.Sort(late)
			for _, m := range []struct {
				name string
				at   int
			}{{"p50-us", b.N / 2}, {"p99-us", b.N * 99 / 100}, {"max-us", b.N - 1}} {
				b.ReportMetric(float64(late[m.at].Nanoseconds())/1000, m.name)
			}
		})
	}
}
