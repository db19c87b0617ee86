package wsgnet

import (
	"bytes"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

func (l *looped) Writev(all [][]byte) (n int, err error) {
	for _, b := range all {
		k, _ := l.Write(b)
		n += k
	}
	return n, nil
}

// TestCompressedAnswersDoNotHoldTheLoop: small requests come in one read, and each has a large
// answer that is compressed to little. They were all answered at once, for seconds.
func TestCompressedAnswersDoNotHoldTheLoop(t *testing.T) {
	const requests, size = 4000, 64 << 10
	answer := bytes.Repeat([]byte("01234567"), size/8)
	for _, test := range []struct {
		name   string
		answer func(c *Conn)
	}{
		{"Send", func(c *Conn) { c.Send(wsproto.Text, answer) }},
		{"small Send", func(c *Conn) {
			for range 8 {
				c.Send(wsproto.Text, answer[:minThrough/2])
			}
		}},
		{"SendPrepared", func(c *Conn) { c.SendPrepared(wsproto.Prepare(wsproto.Text, answer)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			answered := 0
			s := &Server{
				Limits: wsproto.Limits{IdleTimeout: -1, ProgressTimeout: -1, HandshakeTimeout: -1,
					CloseTimeout: -1},
				Compression: &deflate.Compression{},
				Message: func(c *Conn, _ wsproto.Opcode, _ []byte) {
					answered++
					test.answer(c)
				},
			}
			l := &looped{broken: broken{server: s}, loop: posted{tasks: make(chan gnet.Runnable, 10)}}
			s.OnOpen(l)
			l.in = []byte(upgrade[:len(upgrade)-2] + offer)
			s.OnTraffic(l)
			p := wsproto.Config{Role: wsproto.Client}
			sender := wsproto.NewSender(&p, nil)
			for range requests {
				l.in = sender.Append(l.in, wsproto.Binary, []byte("x"))
			}
			worst := time.Duration(0)
			for turns := 0; answered < requests; turns++ {
				if turns == requests {
					t.Fatalf("%d answers of %d", answered, requests)
				}
				l.out.Reset()
				before, begin := answered, time.Now()
				if turns == 0 {
					s.OnTraffic(l)
				} else {
					l.loop.run(t)
				}
				if took := time.Since(begin); took > worst && answered-before > 1 {
					worst = took
				}
				if n := answered - before; n > requests/4 {
					t.Fatalf("%d answers at once, in %v", n, time.Since(begin))
				}
			}
			t.Logf("a turn took %v at most", worst)
		})
	}
}
