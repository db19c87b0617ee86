package wsproto_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// TestMoveBetweenFrames: a Sender that was saved and loaded makes the frames of one that was not.
func TestMoveBetweenFrames(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		c := wsproto.Config{Role: wsproto.Server}
		var agreed *wsproto.Deflate
		if r.IntN(4) > 0 {
			c.Compressor = deflate.New(deflate.Compression{Threshold: 20})
			agreed = &wsproto.Deflate{ServerMaxWindowBits: uint8(8 + r.IntN(8)),
				ServerNoContextTakeover: r.IntN(2) == 0}
		}
		stays, moves := wsproto.NewSender(&c, agreed), wsproto.NewSender(&c, agreed)
		for i := range 20 {
			data := bytes.Repeat([]byte(fmt.Sprintf("message %d ", r.IntN(3))), r.IntN(200))
			last, drops := r.IntN(2) == 0, r.IntN(8) == 0
			var frames [2][]byte
			for k, s := range []*wsproto.Sender{&stays, &moves} {
				f := s.Frame(wsproto.Text, data, last)
				frames[k] = f.Append(nil)
				if drops && last {
					s.Drop()
				}
			}
			if !bytes.Equal(frames[0], frames[1]) {
				t.Fatalf("seed %d: frame %d differs: [%.60x] and [%.60x]", seed, i, frames[1], frames[0])
			}
			moveSender(t, &moves, &c)
		}
	}
}

func moveSender(t *testing.T, s *wsproto.Sender, c *wsproto.Config) {
	t.Helper()
	b := s.Save(nil)
	to, rest, err := wsproto.LoadSender(c, append(b, "behind"...))
	if err != nil || string(rest) != "behind" {
		t.Fatalf("%x: rest %q, %v", b, rest, err)
	}
	if again := to.Save(nil); !bytes.Equal(again, b) || to.WindowBytes() != s.WindowBytes() {
		t.Fatalf("saved as %x, and when loaded as %x", b, again)
	}
	clear(b)
	*s = to
}

// TestClientSenderMoves: a loaded Sender masks, or does not, as its Role is.
func TestClientSenderMoves(t *testing.T) {
	client, server := &wsproto.Config{Role: wsproto.Client}, &wsproto.Config{}
	s := wsproto.NewSender(client, nil)
	moveSender(t, &s, client)
	if f := s.Frame(wsproto.Text, nil, true); !f.Header.Masked {
		t.Error("a client does not mask")
	}
	if _, _, err := wsproto.LoadSender(server, s.Save(nil)); err == nil {
		t.Error("a client went on as a server")
	}
}

// TestCompressionNeedsACompressor: a connection with compression cannot go on without it.
func TestCompressionNeedsACompressor(t *testing.T) {
	with, without := &wsproto.Config{Compressor: deflate.New(deflate.Compression{})}, &wsproto.Config{}
	s, r := wsproto.NewSender(with, &wsproto.Deflate{}), wsproto.NewReceiver(with, &wsproto.Deflate{})
	if _, _, err := wsproto.LoadSender(without, s.Save(nil)); err == nil {
		t.Error("a Sender was loaded")
	}
	b, err := r.Save(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := wsproto.LoadReceiver(without, b); err == nil {
		t.Error("a Receiver was loaded")
	}
}
