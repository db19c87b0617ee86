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

// TestLoadedWindowsTakeWhatTheyHold: a new process that gets thousands of connections has no memory
// for windows that hold next to nothing, until there is a message.
func TestLoadedWindowsTakeWhatTheyHold(t *testing.T) {
	c := &wsproto.Config{Compressor: deflate.New(deflate.Compression{Threshold: 20})}
	peer := *c
	peer.Role = wsproto.Client
	client, server := wsproto.NewSender(&peer, &wsproto.Deflate{}), wsproto.NewSender(c, &wsproto.Deflate{})
	receiver := wsproto.NewReceiver(c, &wsproto.Deflate{})
	text := bytes.Repeat([]byte("a few words "), 30)
	exchange := func() {
		f := server.Frame(wsproto.Text, text, true)
		f.Append(nil)
		ev, _, err := receiver.Next(client.Append(nil, wsproto.Text, text))
		if err != nil || !bytes.Equal(ev.Payload, text) {
			t.Fatalf("a message of %d bytes, %v", len(ev.Payload), err)
		}
	}
	exchange()
	if had, full := wsproto.WindowMemory(&receiver, &server), 2<<wsproto.MaxWindowBits; had != full {
		t.Fatalf("windows of %d bytes before the move, want %d", had, full)
	}
	move(t, &receiver, c)
	moveSender(t, &server, c)
	if has, most := wsproto.WindowMemory(&receiver, &server), 4*len(text); has > most {
		t.Errorf("windows of %d bytes for two messages of %d", has, len(text))
	}
	exchange()
	if has, full := wsproto.WindowMemory(&receiver, &server), 2<<wsproto.MaxWindowBits; has != full {
		t.Errorf("windows of %d bytes after a message, want %d", has, full)
	}
}
