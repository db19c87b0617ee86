package wsproto_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// senderConfig compresses from 10 bytes on.
func senderConfig(role wsproto.Role) *wsproto.Config {
	return &wsproto.Config{Role: role, Limits: wsproto.Limits{MaxMessage: -1, MaxFragments: -1},
		Compressor: deflate.New(deflate.Compression{Threshold: 10})}
}

// ends returns a Sender and the Receiver of its peer.
func ends(role wsproto.Role, d *wsproto.Deflate) (*wsproto.Sender, *wsproto.Receiver) {
	s, r := wsproto.NewSender(senderConfig(role), d), wsproto.NewReceiver(senderConfig(1-role), d)
	return &s, &r
}

// events returns what r makes of input, in chunks.
func events(t *testing.T, r *wsproto.Receiver, input []byte, chunk int) (got []string) {
	t.Helper()
	input = bytes.Clone(input) // it is unmasked in place
	for begin, end := 0, 0; end < len(input); {
		end = min(end+chunk, len(input))
		for {
			ev, n, err := r.Next(input[begin:end])
			begin += n
			if err != nil {
				t.Fatalf("behind %d bytes: %v", begin, err)
			}
			switch ev.Kind {
			case wsproto.EventNone:
			case wsproto.EventMessage:
				got = append(got, fmt.Sprintf("%v %s", ev.Opcode, ev.Payload))
				continue
			case wsproto.EventPing:
				got = append(got, fmt.Sprintf("ping %s", ev.Payload))
				continue
			case wsproto.EventPong:
				got = append(got, fmt.Sprintf("pong %s", ev.Payload))
				continue
			case wsproto.EventClose:
				got = append(got, fmt.Sprintf("close %d %s", ev.Code, ev.Payload))
			}
			break
		}
	}
	return got
}

// headers describes the frames in b: opcode, RSV1 as C, Fin as F, M if they are masked.
func headers(t *testing.T, b []byte) (all []string) {
	t.Helper()
	for len(b) > 0 {
		h, n, err := wsproto.ParseHeader(b)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		text := h.Opcode.String() + " "
		for _, flag := range []struct {
			set  bool
			name string
		}{{h.RSV == wsproto.RSV1, "C"}, {h.Fin, "F"}, {h.Masked, "M"}} {
			if flag.set {
				text += flag.name
			}
		}
		all, b = append(all, text), b[n+int(h.Length):]
	}
	return all
}

// sent is a call of Frame, or of Plain.
type sent struct {
	op    wsproto.Opcode
	data  string
	more  bool
	plain bool
}

func frame(s *wsproto.Sender, m sent) wsproto.Frame {
	if m.plain {
		return s.Plain(m.op, []byte(m.data), !m.more)
	}
	return s.Frame(m.op, []byte(m.data), !m.more)
}

func TestSender(t *testing.T) {
	const text, binary, ping, pong = wsproto.Text, wsproto.Binary, wsproto.Ping, wsproto.Pong
	long, noise := strings.Repeat("tick ", 100), "0123456789abcdefghijklmnopqrstuvwxyz"
	closing := string(wsproto.AppendClose(nil, wsproto.GoingAway, "bye"))
	for _, test := range []struct {
		name   string
		frames []sent
		want   []string // of events
		plain  []string // headers without compression
		packed []string // and with; nil: the same
	}{
		{name: "empty message", frames: []sent{{op: text}}, want: []string{"text "}, plain: []string{"text F"}},
		{name: "small message", frames: []sent{{op: binary, data: "hi"}}, want: []string{"binary hi"},
			plain: []string{"binary F"}},
		{name: "message", frames: []sent{{op: text, data: long}}, want: []string{"text " + long},
			plain: []string{"text F"}, packed: []string{"text CF"}},
		{name: "not smaller", frames: []sent{{op: text, data: noise}}, want: []string{"text " + noise},
			plain: []string{"text F"}},
		{name: "plain", frames: []sent{{op: text, data: long, plain: true}}, want: []string{"text " + long},
			plain: []string{"text F"}},
		{name: "pieces", frames: []sent{{op: text, data: long, more: true}, {data: "x", more: true}, {data: long},
			{op: text, data: long}},
			want:   []string{"text " + long + "x" + long, "text " + long},
			plain:  []string{"text ", "continuation ", "continuation F", "text F"},
			packed: []string{"text C", "continuation ", "continuation F", "text CF"}},
		{name: "pieces that do not become smaller", frames: []sent{{op: text, data: noise, more: true}, {data: noise}},
			want: []string{"text " + noise + noise}, plain: []string{"text ", "continuation F"},
			packed: []string{"text C", "continuation F"}},
		{name: "small first piece", frames: []sent{{op: text, data: "x", more: true}, {data: long}},
			want:  []string{"text x" + long},
			plain: []string{"text ", "continuation F"}},
		{name: "plain pieces", frames: []sent{{op: text, data: long, more: true, plain: true}, {data: long}},
			want: []string{"text " + long + long}, plain: []string{"text ", "continuation F"}},
		{name: "empty pieces", frames: []sent{{op: text, more: true}, {more: true}, {}}, want: []string{"text "},
			plain: []string{"text ", "continuation ", "continuation F"}},
		{name: "empty last piece", frames: []sent{{op: text, data: long, more: true}, {}},
			want:  []string{"text " + long},
			plain: []string{"text ", "continuation F"}, packed: []string{"text C", "continuation F"}},
		{name: "control frames between pieces",
			frames: []sent{{op: ping, data: "1"}, {op: text, data: long, more: true},
				{op: ping, data: long[:125]}, {data: "x"}, {op: pong}},
			want:   []string{"ping 1", "ping " + long[:125], "text " + long + "x", "pong "},
			plain:  []string{"ping F", "text ", "ping F", "continuation F", "pong F"},
			packed: []string{"ping F", "text C", "ping F", "continuation F", "pong F"}},
		{name: "close", frames: []sent{{op: wsproto.Close, data: closing}}, want: []string{"close 1001 bye"},
			plain: []string{"close F"}},
		{name: "large", frames: []sent{{op: binary, data: strings.Repeat(noise, 5000)}},
			want:  []string{"binary " + strings.Repeat(noise, 5000)},
			plain: []string{"binary F"}, packed: []string{"binary CF"}},
	} {
		for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
			for _, d := range []*wsproto.Deflate{nil, {},
				{ServerNoContextTakeover: true, ClientNoContextTakeover: true},
				{ServerMaxWindowBits: 9, ClientMaxWindowBits: 8}} {
				t.Run(fmt.Sprintf("%s, role %d, %+v", test.name, role, d), func(t *testing.T) {
					s, r := ends(role, d)
					want := test.plain
					if d != nil && test.packed != nil {
						want = test.packed
					}
					for range 3 {
						var out []byte
						for _, m := range test.frames {
							f := frame(s, m)
							out = f.Append(out)
						}
						got := headers(t, out)
						for i := range got {
							if masked := strings.HasSuffix(got[i], "M"); masked != (role == wsproto.Client) {
								t.Errorf("masked: %v", masked)
							}
							got[i] = strings.TrimSuffix(got[i], "M")
						}
						if !slices.Equal(got, want) {
							t.Errorf("frames %q, want %q", got, want)
						}
						if got := events(t, r, out, 1<<20); !slices.Equal(got, test.want) {
							t.Errorf("events %.80q, want %.80q", got, test.want)
						}
						if strings.HasPrefix(test.name, "close") {
							return
						}
					}
				})
			}
		}
	}
}

// TestSenderAppend: Append makes the frames that Frame makes.
func TestSenderAppend(t *testing.T) {
	for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
		for _, d := range []*wsproto.Deflate{nil, {}} {
			s, r := ends(role, d)
			var out []byte
			var want []string
			for n := range 300 {
				data := strings.Repeat("x", n*n)
				out = s.Append(out, wsproto.Text, []byte(data))
				out = s.Append(out, wsproto.Ping, []byte(data[:n%100]))
				want = append(want, "text "+data, "ping "+data[:n%100])
			}
			if got := events(t, r, out, 1000); !slices.Equal(got, want) {
				t.Errorf("role %d, %v: %.100q", role, d, got)
			}
		}
	}
}

// TestFrameFill: buffers of every size give the same bytes as Append.
func TestFrameFill(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 7000)
	for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
		for _, d := range []*wsproto.Deflate{nil, {}} {
			for _, n := range []int{0, 1, 3, 125, 126, 65535, 65536, len(data)} {
				for _, size := range []int{wsproto.MaxHeader, 15, 17, 1000, 1 << 20} {
					s, _ := ends(role, d)
					f := s.Frame(wsproto.Binary, data[:n], true)
					want, got := wsproto.AppendHeader(nil, f.Header), []byte(nil)
					want = append(want, f.Payload...)
					if f.Header.Masked {
						wsproto.Mask(want[len(want)-len(f.Payload):], f.Header.Key)
					}
					for buf := make([]byte, size); ; {
						k := f.Fill(buf)
						if k == 0 {
							break
						}
						got = append(got, buf[:k]...)
					}
					if !bytes.Equal(got, want) {
						t.Errorf("role %d, %v: %d bytes by buffers of %d differ", role, d, n, size)
					}
					if rest := f.Append(nil); len(rest) > 0 {
						t.Errorf("%d bytes are left", len(rest))
					}
				}
			}
		}
	}
}

// TestSenderDrop: a compressed message that was not sent is referred to by none, once Drop was
// called.
func TestSenderDrop(t *testing.T) {
	message := func(i int) []byte { // four times the same
		b := make([]byte, 200)
		rand.NewChaCha8([32]byte{byte(i / 4)}).Read(b)
		return fmt.Appendf(nil, "%x%x", b, b)
	}
	for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
		s, r := ends(role, &wsproto.Deflate{})
		first := len(s.Append(nil, wsproto.Text, message(0)))
		s.Drop()
		for i := range 40 {
			b := s.Append(nil, wsproto.Text, message(i))
			if again := i%4 == 1; again && len(b) > first/2 {
				t.Errorf("message %d takes %d bytes, the first one %d: is there a window?", i, len(b), first)
			}
			if i%4 == 3 { // not sent
				s.Drop()
				continue
			}
			if got := events(t, r, b, 1<<20); len(got) != 1 || got[0] != "text "+string(message(i)) {
				t.Fatalf("message %d arrives as %q", i, got)
			}
		}
	}
}

func TestSenderPanics(t *testing.T) {
	for _, test := range []struct {
		name string
		call func(s *wsproto.Sender)
	}{
		{name: "continuation of nothing", call: func(s *wsproto.Sender) { s.Frame(wsproto.Continuation, nil, true) }},
		{name: "reserved opcode", call: func(s *wsproto.Sender) { s.Append(nil, 3, nil) }},
		{name: "reserved control frame", call: func(s *wsproto.Sender) { s.Frame(11, nil, true) }},
		{name: "long control frame", call: func(s *wsproto.Sender) { s.Append(nil, wsproto.Ping, make([]byte, 126)) }},
		{name: "message within another",
			call: func(s *wsproto.Sender) { s.Frame(wsproto.Text, nil, false); s.Append(nil, wsproto.Text, nil) }},
		{name: "prepared within another", call: func(s *wsproto.Sender) {
			s.Frame(wsproto.Text, nil, false)
			s.Prepared(wsproto.Prepare(wsproto.Text, nil), false)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
				func() {
					s, _ := ends(role, nil)
					defer func() {
						if recover() == nil {
							t.Error("no panic")
						}
					}()
					test.call(s)
				}()
			}
		})
	}
}

func TestPrepared(t *testing.T) {
	b := make([]byte, 200)
	rand.NewChaCha8([32]byte{}).Read(b)
	own, other := fmt.Appendf(nil, "%x%[1]x", b), strings.Repeat("tick ", 100)
	for _, test := range []struct {
		name    string
		deflate *wsproto.Deflate
		mayDrop bool
		data    string
		header  string
	}{
		{name: "no compression", data: other, header: "text F"},
		{name: "below the threshold", deflate: &wsproto.Deflate{}, data: "tick", header: "text F"},
		{name: "not smaller", deflate: &wsproto.Deflate{}, data: "0123456789abcdef", header: "text F"},
		{name: "compressed", deflate: &wsproto.Deflate{}, data: other, header: "text CF"},
		{name: "may be dropped", deflate: &wsproto.Deflate{}, mayDrop: true, data: other, header: "text F"},
		{name: "may be dropped without takeover", deflate: &wsproto.Deflate{ServerNoContextTakeover: true},
			mayDrop: true, data: other, header: "text CF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := wsproto.Prepare(wsproto.Text, []byte(test.data))
			if op, data := p.Message(); op != wsproto.Text || string(data) != test.data {
				t.Errorf("%v %q", op, data)
			}
			s, r := ends(wsproto.Server, test.deflate)
			for range 2 {
				out, want := s.Append(nil, wsproto.Text, own), []string{"text " + string(own)}
				b := s.Prepared(p, test.mayDrop)
				if got := headers(t, b); got[0] != test.header {
					t.Errorf("%q, want %q", got, test.header)
				}
				if !test.mayDrop {
					out, want = append(out, b...), append(want, "text "+test.data)
				}
				// it may refer to both
				out, want = s.Append(out, wsproto.Text, own), append(want, want[0])
				if got := events(t, r, out, 100); !slices.Equal(got, want) {
					t.Errorf("%.100q", got)
				}
				if s.Prepared(p, test.mayDrop); &b[0] != &s.Prepared(p, test.mayDrop)[0] {
					t.Error("the frame is not shared")
				}
				s.Drop()
			}
		})
	}
}

// TestSenderIsShared is for the race detector: without takeover a Sender does not change.
func TestSenderIsShared(t *testing.T) {
	s, _ := ends(wsproto.Server, &wsproto.Deflate{ServerNoContextTakeover: true})
	long := []byte(strings.Repeat("tick ", 100))
	want := string(s.Append(nil, wsproto.Text, long))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if got := string(s.Append(nil, wsproto.Text, long)); got != want {
					t.Errorf("%q", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestSenderDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops items at random under the race detector")
	}
	small, large := bytes.Repeat([]byte("tick "), 20), bytes.Repeat([]byte("tick "), 10_000)
	takeover, none := &wsproto.Deflate{}, &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
	buf := make([]byte, 0, 64<<10)
	whole := func(data []byte) func(s *wsproto.Sender) {
		return func(s *wsproto.Sender) { s.Append(buf, wsproto.Binary, data) }
	}
	apart := func(s *wsproto.Sender) {
		f := s.Frame(wsproto.Binary, large, true)
		wsproto.AppendHeader(buf, f.Header)
		f.Release()
	}
	filled := func(s *wsproto.Sender) {
		f := s.Frame(wsproto.Binary, large, true)
		for f.Fill(buf[:16<<10]) > 0 {
		}
	}
	pieces := func(s *wsproto.Sender) {
		for i := range 3 {
			f := s.Frame(wsproto.Binary, small, i == 2)
			f.Append(buf)
		}
	}
	p := wsproto.Prepare(wsproto.Text, large)
	prepared := func(s *wsproto.Sender) { s.Prepared(p, false) }
	for _, test := range []struct {
		name    string
		role    wsproto.Role
		deflate *wsproto.Deflate
		send    func(s *wsproto.Sender)
	}{
		{name: "server", send: whole(small)},
		{name: "server, header apart", send: apart},
		{name: "server, pieces", send: pieces},
		{name: "server, compressed", deflate: none, send: whole(small)},
		{name: "server, compressed, header apart", deflate: none, send: apart},
		{name: "server, compressed with takeover", deflate: takeover, send: whole(small)},
		{name: "server, compressed pieces with takeover", deflate: takeover, send: pieces},
		{name: "server, prepared", deflate: takeover, send: prepared},
		{name: "client", role: wsproto.Client, send: whole(small)},
		{name: "client, by a buffer", role: wsproto.Client, send: filled},
		{name: "client, compressed", role: wsproto.Client, deflate: none, send: filled},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _ := ends(test.role, test.deflate)
			for range 5 { // pools and windows
				test.send(s)
			}
			if n := testing.AllocsPerRun(200, func() { test.send(s) }); n > 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// FuzzSender: what a Sender is told to send arrives, in both roles, however it is fragmented,
// compressed and split.
func FuzzSender(f *testing.F) {
	f.Add([]byte("\x01\x85hello\x02\x13worldworldworldworld\x09\x02pi"), uint8(0), uint8(0), uint8(3), uint16(7))
	f.Add(bytes.Repeat([]byte("\x81\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), 9), uint8(1), uint8(0x99), uint8(7),
		uint16(1))
	f.Add(bytes.Repeat([]byte("\x03\x30abababababababababababababababababababababababab"), 9), uint8(1), uint8(0),
		uint8(1), uint16(300))
	f.Fuzz(func(t *testing.T, script []byte, role, bits, flags uint8, chunk uint16) {
		var d *wsproto.Deflate
		if flags&1 != 0 {
			d = &wsproto.Deflate{ServerNoContextTakeover: flags&2 != 0, ClientNoContextTakeover: flags&4 != 0,
				ServerMaxWindowBits: 8 + bits&7, ClientMaxWindowBits: 8 + bits>>4&7}
		}
		s, r := ends(wsproto.Role(role&1), d)
		var out []byte
		var want []string
		message := ""
		buf := make([]byte, wsproto.MaxHeader+int(chunk)%100)
		for begun := false; len(script) >= 2 || begun; {
			m := sent{op: wsproto.Text}
			if len(script) >= 2 {
				n := min(int(script[1]), len(script)-2)
				m = sent{op: wsproto.Text + wsproto.Opcode(script[0]&1), data: string(script[2 : 2+n]),
					more: script[0]&0x80 != 0, plain: script[0]&0x40 != 0}
				if script[0]&8 != 0 {
					m = sent{op: wsproto.Ping, data: m.data[:min(n, wsproto.MaxControl)]}
				}
				script = script[2+n:]
			}
			m.data = strings.ToValidUTF8(m.data, "?")
			if m.op.IsControl() {
				m.data = m.data[:min(len(m.data), wsproto.MaxControl)]
				want = append(want, "ping "+m.data)
			} else {
				if !begun {
					message = m.op.String() + " "
				}
				message += m.data
				if begun = m.more; !begun {
					want = append(want, message)
				}
			}
			frame := frame(s, m)
			if flags&8 == 0 {
				out = frame.Append(out)
			} else {
				for n := frame.Fill(buf); n > 0; n = frame.Fill(buf) {
					out = append(out, buf[:n]...)
				}
			}
		}
		if got := events(t, r, out, 1+int(chunk)); !slices.Equal(got, want) {
			t.Fatalf("sent %q, got %q", want, got)
		}
	})
}

func BenchmarkSender(b *testing.B) {
	for _, size := range []int{32, 1 << 10, 16 << 10} {
		data := make([]byte, size)
		for _, role := range []wsproto.Role{wsproto.Server, wsproto.Client} {
			b.Run(fmt.Sprintf("role %d, %d bytes", role, size), func(b *testing.B) {
				s, _ := ends(role, nil)
				buf := make([]byte, 0, size+wsproto.MaxHeader)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					s.Append(buf, wsproto.Binary, data)
				}
			})
		}
	}
}
