package wsproto_test

import (
	"bytes"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// savedConfigs are what states are loaded with.
func savedConfigs() (all []*wsproto.Config) {
	compressor := deflate.New(deflate.Compression{})
	for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
		all = append(all, &wsproto.Config{Role: role}, &wsproto.Config{Role: role, Compressor: compressor},
			&wsproto.Config{Role: role, Compressor: compressor, InflateStep: 100},
			&wsproto.Config{Role: role, Compressor: compressor, Stream: true, Limits: wsproto.Limits{MaxWhole: 5}})
	}
	return all
}

// FuzzLoadReceiver: a state is refused, or it is what a Receiver saves that can go on.
func FuzzLoadReceiver(f *testing.F) {
	for seed := range uint64(40) {
		p := newPeerStream(seed)
		p.events(nil, []int{len(p.input) / 3, len(p.input) / 2, len(p.input)}, func(_ int, s *wsproto.Receiver) {
			if b, err := s.Save(nil); err == nil {
				f.Add(b, p.input[:min(len(p.input), 30)])
			}
		})
	}
	f.Fuzz(func(t *testing.T, state, input []byte) {
		for i, c := range savedConfigs() {
			s, rest, err := wsproto.LoadReceiver(c, bytes.Clone(state))
			if err != nil {
				continue
			}
			used := state[:len(state)-len(rest)]
			if b, err := s.Save(nil); err != nil || !bytes.Equal(b, used) {
				t.Fatalf("config %d: %x was saved as %x, %v", i, used, b, err)
			}
			for src, rounds := bytes.Clone(input), 0; rounds < 100; rounds++ {
				ev, n, err := s.Next(src)
				if src = src[n:]; err != nil || ev.Kind == wsproto.EventNone && !s.Inflating() {
					break
				}
			}
			s.Room()
			s.Release()
		}
	})
}

// FuzzLoadSender is FuzzLoadReceiver for Senders.
func FuzzLoadSender(f *testing.F) {
	for _, c := range savedConfigs() {
		for _, d := range []*wsproto.Deflate{nil, {}, {ServerNoContextTakeover: true, ClientNoContextTakeover: true}} {
			if d != nil && c.Compressor == nil {
				continue
			}
			s := wsproto.NewSender(c, d)
			f.Add(s.Save(nil))
			s.Frame(wsproto.Text, make([]byte, 300), false)
			f.Add(s.Save(nil))
		}
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		for i, c := range savedConfigs() {
			s, rest, err := wsproto.LoadSender(c, bytes.Clone(state))
			if err != nil {
				continue
			}
			if used := state[:len(state)-len(rest)]; !bytes.Equal(s.Save(nil), used) {
				t.Fatalf("config %d: %x was saved as %x", i, used, s.Save(nil))
			}
			s.Append(nil, wsproto.Ping, nil)
			fr := s.Frame(wsproto.Text, make([]byte, 500), true)
			fr.Append(nil)
		}
	})
}
