package wsgnet

import (
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// TestLongCallbacksDoNotHoldTheLoop: without compression, a read of gnet was served whole: 64 KiB
// have ten thousand messages. If each was sent to 100 members of a chat, they took 840 ms.
func TestLongCallbacksDoNotHoldTheLoop(t *testing.T) {
	const messages, work = 200, 500 * time.Microsecond
	for name, deflates := range map[string]string{"plain": "\r\n", "compression": offer} {
		t.Run(name, func(t *testing.T) {
			served := 0
			s := &Server{
				Limits: wsproto.Limits{IdleTimeout: -1, ProgressTimeout: -1, HandshakeTimeout: -1,
					CloseTimeout: -1},
				Compression: &deflate.Compression{},
				Message: func(*Conn, wsproto.Opcode, []byte) {
					served++
					time.Sleep(work)
				},
			}
			l := &looped{broken: broken{server: s}, loop: posted{tasks: make(chan gnet.Runnable, 10)}}
			s.OnOpen(l)
			l.in = []byte(upgrade[:len(upgrade)-2] + deflates)
			s.OnTraffic(l)
			p := wsproto.Config{Role: wsproto.Client}
			sender := wsproto.NewSender(&p, nil)
			for range messages {
				l.in = sender.Append(l.in, wsproto.Binary, []byte("x"))
			}
			s.OnTraffic(l)
			for turns := 0; ; turns++ {
				if served > (turns+1)*int(2*maxShare/work) {
					t.Fatalf("%d messages are served after %d turns", served, turns)
				}
				if served == messages {
					break
				}
				l.loop.run(t)
			}
			if c := l.ctx.(*Conn); c.state != open || len(l.in) > 0 {
				t.Errorf("state %d, %d bytes left", c.state, len(l.in))
			}
			s.OnClose(l, nil)
		})
	}
}
