package sim_test

import (
	"slices"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestStaleEventInOneBatch closes a connection in a batch that still holds its event, and lets
// another connection take its descriptor: the event must come with the old token.
func TestStaleEventInOneBatch(t *testing.T) {
	stale := 0
	for seed := range uint64(50) {
		s := newScript(t, sim.Config{Seed: seed})
		fd, old, p := s.pair(driver.Read)
		_, other, q := s.pair(driver.Read)
		p.Send([]byte("old"))
		q.Send([]byte("other"))
		s.n.Dial(s.n.Addr(0)).Send([]byte("new"))
		closed := false
		s.read = func(token driver.Token) (int, []byte) {
			if token == other && !closed {
				closed = true
				s.d.Close(fd, false)
			}
			if token == old && closed {
				stale++
				return -1, nil
			}
			return int(token.Slot()), make([]byte, 100)
		}
		if n, _ := s.d.Poll(0, s); n != 3 {
			t.Fatal(n)
		}
		if s.accepted[2] != fd && s.accepted[2] != 3 {
			t.Fatalf("descriptors %v", s.accepted)
		}
	}
	if stale == 0 {
		t.Error("never a stale event")
	}
}

func TestCompletion(t *testing.T) {
	s := newScript(t, sim.Config{Completion: true})
	s.read = func(driver.Token) (int, []byte) { t.Fatal("Reading was called"); return -1, nil }
	_, _, p := s.pair(driver.Read)
	p.Send([]byte("mine"))
	k := keeper{script: s}
	if _, err := s.d.Poll(0, &k); err != nil {
		t.Fatal(err)
	}
	s.logged("mine")
	if string(k.kept) != "\xdb\xdb\xdb\xdb" {
		t.Errorf("the memory is still %q", k.kept)
	}
	p.CloseWrite()
	s.poll(0)
	s.logged("FIN")
}

// TestCompletionSurvivesPanics checks that a panic loses nothing of what was read in advance, which
// only the batch holds.
func TestCompletionSurvivesPanics(t *testing.T) {
	s := newScript(t, sim.Config{Completion: true})
	for _, text := range []string{"a", "b", "c"} {
		_, _, p := s.pair(0)
		p.Send([]byte(text))
	}
	for fd := 1; fd <= 3; fd++ {
		s.ok(s.d.SetInterest(fd, driver.MakeToken(uint32(fd), 1), 0, driver.Read))
	}
	for range 3 {
		func() {
			defer func() { s.log = append(s.log, recover().(string)) }()
			s.d.Poll(0, panicker{s})
		}()
	}
	slices.Sort(s.log)
	s.logged("a", "b", "c")
	if n := s.poll(0); n != 0 {
		t.Error(n)
	}
}

type panicker struct{ *script }

func (panicker) Received(_ driver.Token, b []byte, _ bool) bool { panic(string(b)) }

// keeper keeps what it must not keep.
type keeper struct {
	*script
	kept []byte
}

func (k *keeper) Received(t driver.Token, b []byte, more bool) bool {
	k.kept = b
	return k.script.Received(t, b, more)
}
