package sim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestMisuse does what an engine must never do. Each misuse panics with a text that says what was
// wrong. Check keeps it.
func TestMisuse(t *testing.T) {
	for _, c := range []struct {
		name, want string
		do         func(s *script, fd int, token driver.Token, p *sim.Peer)
	}{
		{"write to a closed descriptor", "Write(1): not an open descriptor",
			func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
				s.d.Close(fd, false)
				s.d.Write(fd, []byte("x"))
			}},
		{"close twice", "Close(1): not an open descriptor", func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
			s.d.Close(fd, false)
			s.d.Close(fd, false)
		}},
		{"negative descriptor", "Local(-1): not an open descriptor",
			func(s *script, _ int, _ driver.Token, _ *sim.Peer) {
				s.d.Local(-1)
			}},
		{"another driver's descriptor", "driver 1 does not have it",
			func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
				other := open(s.n)
				other.Write(fd, []byte("x"))
			}},
		{"CloseFd of a registered descriptor", "CloseFd(1): registered",
			func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
				s.n.CloseFd(fd)
			}},
		{"write to a listener", "Write(0): a listener", func(s *script, _ int, _ driver.Token, _ *sim.Peer) {
			s.d.Write(0, []byte("x"))
		}},
		{"write of nothing", "nothing to write", func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
			s.d.Write(fd, nil)
		}},
		{"register twice", "registered already", func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
			s.d.Register(fd, driver.MakeToken(77, 1), driver.Read)
		}},
		{"one token twice", "1/1 is registered already", func(s *script, _ int, token driver.Token, _ *sim.Peer) {
			s.n.Dial(s.n.Addr(0))
			s.d.Poll(0, s)
			s.d.Register(s.accepted[1], token, driver.Read)
		}},
		{"generation 0", "generation 0", func(s *script, _ int, _ driver.Token, _ *sim.Peer) {
			s.n.Dial(s.n.Addr(0))
			s.d.Poll(0, s)
			s.d.Register(s.accepted[1], driver.MakeToken(5, 0), driver.Read)
		}},
		{"listen on a connection", "not a listener", func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
			s.d.RegisterListener(fd, driver.MakeToken(driver.ListenerBit, 9))
		}},
		{"interest of another token", "is not what it is registered as",
			func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
				s.d.SetInterest(fd, driver.MakeToken(1, 2), driver.Read, 0)
			}},
		{"wrong old interest", "interest is 1, not 2", func(s *script, fd int, token driver.Token, _ *sim.Peer) {
			s.d.SetInterest(fd, token, driver.Write, 0)
		}},
		{"Reading of a wrong descriptor", "Reading(1/1) returned descriptor 2",
			func(s *script, fd int, token driver.Token, p *sim.Peer) {
				s.pair(0)
				s.read = func(driver.Token) (int, []byte) { return 2, make([]byte, 1) }
				p.Send([]byte("x"))
				s.d.Poll(0, s)
			}},
		{"Reading of a closed descriptor", "Reading(1): not an open descriptor",
			func(s *script, fd int, _ driver.Token, p *sim.Peer) {
				s.read = func(driver.Token) (int, []byte) { s.d.Close(fd, false); return fd, make([]byte, 1) }
				p.Send([]byte("x"))
				s.d.Poll(0, s)
			}},
		{"Reading into nothing", "empty buffer", func(s *script, fd int, _ driver.Token, p *sim.Peer) {
			s.read = func(driver.Token) (int, []byte) { return fd, nil }
			p.Send([]byte("x"))
			s.d.Poll(0, s)
		}},
		{"Poll in Poll", "called by a Sink method", func(s *script, fd int, _ driver.Token, p *sim.Peer) {
			s.read = func(driver.Token) (int, []byte) { s.d.Poll(0, s); return -1, nil }
			p.Send([]byte("x"))
			s.d.Poll(0, s)
		}},
		{"Shut with descriptors", "still has descriptor 0", func(s *script, _ int, _ driver.Token, _ *sim.Peer) {
			s.d.Shut()
		}},
		{"use after Shut", "Poll: driver 0 is shut", func(s *script, fd int, _ driver.Token, _ *sim.Peer) {
			s.d.Close(fd, false)
			s.d.Close(0, false)
			s.d.Shut()
			s.d.Wake()
			s.d.Poll(0, s)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(t, sim.Config{})
			fd, token, p := s.pair(driver.Read)
			var got string
			func() {
				defer func() { got = fmt.Sprint(recover()) }()
				c.do(s, fd, token, p)
			}()
			if !strings.HasPrefix(got, "sim: ") || !strings.Contains(got, c.want) {
				t.Errorf("panic %q, want %q", got, c.want)
			}
			if err := s.n.Check(); err == nil || err.Error() != got {
				t.Errorf("Check: %v, want the panic's text %q", err, got)
			}
		})
	}
}
