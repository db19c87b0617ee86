package nats

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/wsproto"
)

// tally is a Sink that counts.
type tally struct {
	begun, messages, lost atomic.Int64
	came                  chan struct{} // gets one for each message, if it is not nil
}

func (s *tally) Subscribed(string, topic.Position)              { s.begun.Add(1) }
func (s *tally) Lost(string)                                    { s.lost.Add(1) }
func (s *tally) Present(string, []topic.Member, []topic.Member) {}
func (s *tally) Deliver(string, topic.Message) {
	s.messages.Add(1)
	if s.came != nil {
		s.came <- struct{}{}
	}
}

// BenchmarkBroker publishes on one node and waits for the messages on another one, with the server
// in another process.
func BenchmarkBroker(b *testing.B) {
	for _, topics := range []int{1, 1000} {
		b.Run(fmt.Sprint("topics=", topics), func(b *testing.B) {
			url := serverProcess(b)
			var k tally
			in, out := &Broker{URL: url}, &Broker{URL: url}
			startBroker(b, in, &tally{})
			startBroker(b, out, &k)
			ready(b, in)
			ready(b, out)
			for i := range topics {
				if err := out.Subscribe(topicName(i)); err != nil {
					b.Fatal(err)
				}
			}
			until(b, "all topics begin", func() bool { return k.begun.Load() == int64(topics) })
			data := make([]byte, 100)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				for in.Publish(topicName(i%topics), wsproto.Binary, data) != nil {
					time.Sleep(time.Millisecond)
				}
			}
			until(b, "all messages come", func() bool { return k.messages.Load() >= int64(b.N) })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
			st := in.Stats()
			b.ReportMetric(float64(st.Published)/float64(st.Packs), "msgs/pack")
			if k.lost.Load() > 0 {
				b.Errorf("%d losses", k.lost.Load())
			}
		})
	}
}

// BenchmarkLatency publishes one message after the other.
func BenchmarkLatency(b *testing.B) {
	url := serverProcess(b)
	k := tally{came: make(chan struct{}, 1)}
	in, out := &Broker{URL: url}, &Broker{URL: url}
	startBroker(b, in, &tally{})
	startBroker(b, out, &k)
	ready(b, in)
	ready(b, out)
	if err := out.Subscribe("room"); err != nil {
		b.Fatal(err)
	}
	until(b, "the topic begins", func() bool { return k.begun.Load() == 1 })
	var all []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := in.Publish("room", wsproto.Binary, make([]byte, 100)); err != nil {
			b.Fatal(err)
		}
		<-k.came
		all = append(all, time.Since(start))
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-us")
}

// BenchmarkSubscribe measures the memory of a topic.
func BenchmarkSubscribe(b *testing.B) {
	url := serverProcess(b)
	var k tally
	n := &Broker{URL: url}
	startBroker(b, n, &k)
	ready(b, n)
	const count = 20_000
	before := heap()
	for i := 0; b.Loop(); i++ {
		if i > 0 {
			continue
		}
		for i := range count {
			if err := n.Subscribe(topicName(i)); err != nil {
				b.Fatal(err)
			}
		}
		until(b, "all topics begin", func() bool { return k.begun.Load() == count })
	}
	b.ReportMetric(float64(heap()-before)/count, "B/topic")
}
