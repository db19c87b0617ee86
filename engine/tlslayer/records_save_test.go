package tlslayer

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	random "math/rand/v2"
	"net"
	"reflect"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/saved"
)

// moving is level 2 that moves to another process before each call.
type moving struct {
	*records
	moves int
}

// move saves the records, closes them, and loads them for another loop.
func (m *moving) move() {
	b := must(m.records.Save(nil))
	if again := must(m.records.Save(nil)); !bytes.Equal(b, again) {
		panic(fmt.Sprintf("saved as %x, then as %x", b, again))
	}
	m.records.Close()
	m.records = must(loadRecords(newLoop(2, 2), b))
	if again := must(m.records.Save(nil)); !bytes.Equal(b, again) {
		panic(fmt.Sprintf("saved as %x, and when loaded as %x", b, again))
	}
	clear(b)
	m.moves++
}

func (m *moving) Open(b []byte, plain int) (from, to, end int, err error) {
	m.move()
	if from, to, end, err = m.records.Open(b, plain); err == nil {
		m.move()
	}
	return from, to, end, err
}

func (m *moving) Seal(dst, b []byte) []byte {
	if m.flags&endSealed != 0 || m.flags&readEnded != 0 && m.extra.err != io.EOF {
		return m.records.Seal(dst, b)
	}
	m.move()
	return m.records.Seal(dst, b)
}

// shortReads reads a few bytes at a time, so that most calls come within a record.
type shortReads struct {
	net.Conn
	r    io.Reader
	most int
}

func (c shortReads) Read(b []byte) (int, error) { return c.r.Read(b[:min(len(b), c.most)]) }

// movingEcho is echo that moves within records.
func movingEcho(most int) func(net.Conn, layer.Stream, []byte) ([]byte, error) {
	return func(nc net.Conn, s layer.Stream, early []byte) ([]byte, error) {
		m := &moving{records: s.(*records)}
		got, err := echo(shortReads{nc, io.MultiReader(bytes.NewReader(early), nc), most}, m, nil)
		if m.moves < len(got)/most {
			err = fmt.Errorf("moved %d times only", m.moves)
		}
		return got, err
	}
}

// TestCryptoTLSClientOfMoving: a tls.Conn notices nothing of a server that moves within records,
// with each suite.
func TestCryptoTLSClientOfMoving(t *testing.T) {
	for _, suite := range testSuites {
		c := suiteConfig(suite.id)
		addr, ended := serveBy(t, newLayer(Config{TLS: c}), movingEcho(1000))
		nc := must(tls.Dial("tcp", addr, c))
		message := pattern(200_000)
		go func() {
			nc.Write(message) // an error shows below
			nc.CloseWrite()
		}()
		got, err := io.ReadAll(nc)
		if err != nil || !bytes.Equal(got, message) {
			t.Errorf("%s: %d bytes, error %v", suite.name, len(got), err)
		}
		nc.Close()
		if how := <-ended; !strings.HasSuffix(how, "200000 bytes: EOF") {
			t.Errorf("%s: the server says %q", suite.name, how)
		}
	}
}

// TestOpenSSLClientOfMoving has `openssl s_client` send lines and update keys, to a server that
// moves within records.
func TestOpenSSLClientOfMoving(t *testing.T) {
	for _, args := range [][]string{
		{"-ciphersuites", "TLS_AES_128_GCM_SHA256"}, {"-ciphersuites", "TLS_AES_256_GCM_SHA384"},
		{"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"},
		{"-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"},
	} {
		addr, ended := serveBy(t, newLayer(Config{TLS: testConfig()}), movingEcho(3))
		cmd := openssl(t, append([]string{"s_client", "-connect", addr}, args...)...)
		in, out := must(cmd.StdinPipe()), bufio.NewReader(must(cmd.StdoutPipe()))
		cmd.Stderr = cmd.Stdout
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := []string{"one", "two", "three"}
		if args[0] == "-ciphersuites" {
			lines = []string{"one", "K", "two", "k", "three", "K", "four"}
		}
		for _, line := range lines {
			fmt.Fprintln(in, line)
			want := line
			if len(line) == 1 {
				want = "KEYUPDATE" // what it says when it has read the command
			}
			for got := ""; got != want+"\n"; {
				var err error
				if got, err = out.ReadString('\n'); err != nil {
					t.Fatalf("%v: waiting for %q: %v", args, want, err)
				}
			}
		}
		in.Close()
		go io.Copy(io.Discard, out)
		if how := <-ended; !strings.HasSuffix(how, "EOF") {
			t.Errorf("%v: the server says %q", args, how)
		}
		cmd.Process.Kill() // it may wait for us
		cmd.Wait()
	}
}

// TestMovingClient: a client of level 2 moves within records, and talks to crypto/tls.
func TestMovingClient(t *testing.T) {
	for _, suite := range testSuites {
		c := suiteConfig(suite.id)
		s, cl, err := connect(newLayer(Config{TLS: c, StandardRecords: true}), newLayer(Config{TLS: c}))
		if err != nil {
			t.Fatal(err)
		}
		m := &moving{records: cl.(*records)}
		for _, n := range []int{1, 1000, 3 * maxPlain} {
			if err := errors.Join(selfTestSend(s, m, n), selfTestSend(m, s, n)); err != nil {
				t.Errorf("%s: %v", suite.name, err)
			}
		}
	}
}

// pairOf returns both ends of a connection with a suite and random keys.
func pairOf(suite int) (a, b *moving) {
	s := &suites[suite]
	ra, rb := &records{loop: newLoop(2, 2), suite: uint8(suite)}, &records{loop: newLoop(2, 2), suite: uint8(suite)}
	rb.flags = isClient
	for _, h := range [][2]*half{{&ra.read, &rb.write}, {&ra.write, &rb.read}} {
		if secret := make([]byte, s.hash().Size()); s.tls13 {
			rand.Read(secret)
			h[0].setSecret(s, secret)
		} else {
			rand.Read(h[0].key[:s.keyLen])
			rand.Read(h[0].iv[:s.implicitLen()])
			h[0].seq = 1
		}
		*h[1] = *h[0]
	}
	return &moving{records: ra}, &moving{records: rb}
}

// TestMoveBetweenAnyBytes: both ends move within records, within messages of the handshake that
// come in several records, and between the request for a new key and the answer, with every suite.
func TestMoveBetweenAnyBytes(t *testing.T) {
	for suite := range suites {
		name := tls.CipherSuiteName(suites[suite].id)
		for seed := range uint64(20) {
			r := random.New(random.NewPCG(seed, uint64(suite)))
			a, b := pairOf(suite)
			for range 10 {
				from, to := a, b
				if r.IntN(2) == 0 {
					from, to = b, a
				}
				var wire, want []byte
				for range r.IntN(4) {
					data := pattern(r.IntN(300))
					wire, want = from.Seal(wire, data), append(want, data...)
					if suites[suite].tls13 && r.IntN(2) == 0 {
						update, cut := []byte{messageKeyUpdate, 0, 0, 1, byte(r.IntN(2))}, 1+r.IntN(4)
						wire = from.craft(wire, typeHandshake, update[:cut], 0)
						wire = from.craft(wire, typeHandshake, update[cut:], 0)
						from.loop.update(&suites[suite], &from.write)
					}
				}
				rc := receiver{stream: to, leave: r.IntN(2) == 0}
				for len(wire) > 0 {
					n := min(len(wire), 1+r.IntN(100))
					rc.feed(wire[:n])
					wire = wire[n:]
				}
				rc.close()
				if rc.err != nil || !bytes.Equal(rc.got, want) {
					t.Fatalf("%s, seed %d: [%d bytes, want %d, %v]", name, seed, len(rc.got), len(want), rc.err)
				}
			}
		}
	}
}

// TestAnswerMoves: the answer to a request for a new key is given after a move.
func TestAnswerMoves(t *testing.T) {
	a, b := pairOf(0)
	update := a.updateKey(nil, 1)
	if _, _, _, err := b.Open(update, 0); err != nil || !b.Pending() {
		t.Fatalf("pending %t, %v", b.Pending(), err)
	}
	before := a.records.read.secret
	rc := receiver{stream: a}
	rc.feed(b.Seal(nil, []byte("answer")))
	if rc.err != nil || string(rc.got) != "answer" || a.records.read.secret == before {
		t.Errorf("%q, %v, new key %t", rc.got, rc.err, a.records.read.secret != before)
	}
}

// TestMoveBehindTheEnd: when the peer has ended its half, we may still send.
func TestMoveBehindTheEnd(t *testing.T) {
	for suite := range suites {
		a, b := pairOf(suite)
		end := a.SealEnd(nil)
		if _, _, _, err := b.Open(end, 0); err != io.EOF {
			t.Fatal(err)
		}
		rc := receiver{stream: a.records}
		rc.feed(b.Seal(nil, []byte("late")))
		if string(rc.got) != "late" || b.moves < 2 {
			t.Errorf("%q, %v, moved %d times", rc.got, rc.err, b.moves)
		}
		b.move()
		if _, _, _, err := b.records.Open(nil, 0); err != io.EOF {
			t.Errorf("when loaded, Open returns %v", err)
		}
		if _, err := a.records.Save(nil); err != saved.Unmovable("closing") {
			t.Errorf("one that has ended is saved: %v", err)
		}
	}
}

// TestFailedStays: a connection that ends because of an error does not move.
func TestFailedStays(t *testing.T) {
	_, b := pairOf(0)
	b.records.Open([]byte("this is not a record"), 0)
	if _, err := b.Save(nil); err != saved.Unmovable("closing") {
		t.Errorf("%v", err)
	}
}

// TestStandardStays: crypto/tls does not tell its keys, and does not take any.
func TestStandardStays(t *testing.T) {
	standard := newLayer(Config{TLS: testConfig(), StandardRecords: true})
	s, cl, err := connect(standard, newLayer(Config{TLS: testConfig()}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.(layer.Saver).Save(nil); err != errStandardStays {
		t.Errorf("saved: %v", err)
	}
	b := must(cl.(layer.Saver).Save(nil))
	if _, err := standard.Server().(layer.Loader).Load(b, new(any)); err != errStandardStays {
		t.Errorf("loaded: %v", err)
	}
	if _, err := newLayer(Config{TLS: testConfig()}).Server().(layer.Loader).Load(b, new(any)); err != nil {
		t.Error(err)
	}
}

// TestStateMoves: before the first record the new process knows what the old one does, and
// afterwards as little.
func TestStateMoves(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := changed(func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, c.RootCAs
			c.NextProtos, c.MaxVersion = []string{"http/1.1"}, version
			c.Certificates = []tls.Certificate{c.Certificates[0]} // not in place
			c.Certificates[0].OCSPStaple = []byte("ocsp")
			c.Certificates[0].SignedCertificateTimestamps = [][]byte{{1}, {2, 3}}
		})
		l := newLayer(Config{TLS: c})
		var info, client tls.ConnectionState
		s, cl, err := connectHandshakes(l, l, func(s, c *handshake) { info, client = s.info, c.info })
		if err != nil {
			t.Fatal(err)
		}
		s.(*records).more().state, cl.(*records).more().state = &info, &client
		for _, stream := range []layer.Stream{s, cl} {
			m := &moving{records: stream.(*records)}
			want := m.extra.state
			m.move()
			got, complete := stateOf(m.State())
			compareStates(t, got, want)
			if !complete || len(got.PeerCertificates) != 1 || got.VerifiedChains[0][0] != got.PeerCertificates[0] {
				t.Errorf("%d certificates, complete %t", len(got.PeerCertificates), complete)
			}
			m.records.Open([]byte{typeData}, 0)
			m.move()
			if got, complete = stateOf(m.State()); complete || got.Version != version || m.extra != nil {
				t.Errorf("version %x, complete %t, %+v", got.Version, complete, m.extra)
			}
		}
	}
}

func compareStates(t *testing.T, got, want *tls.ConnectionState) {
	t.Helper()
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		f := g.Type().Field(i)
		if f.IsExported() && !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s is %v, want %v", f.Name, g.Field(i), w.Field(i))
		}
	}
}

// TestSaveWipesWhatItLeaves: when dst is too short for keys, its array does not keep those of the
// connections before.
func TestSaveWipesWhatItLeaves(t *testing.T) {
	a, _ := pairOf(0)
	before := []byte("the keys of another connection")
	b := must(a.Save(before))
	if !bytes.HasPrefix(b, []byte("the keys of another")) || before[0] != 0 || bytes.ContainsAny(before, "keys") {
		t.Errorf("%q, left %q", b[:30], before)
	}
	roomy := append(make([]byte, 0, 1000), before...)
	if b = must(a.Save(roomy)); &b[0] != &roomy[0] {
		t.Error("moved although there was room")
	}
}

// FuzzLoadRecords: a state is refused, or it is what records save that can go on.
func FuzzLoadRecords(f *testing.F) {
	for suite := range suites {
		a, b := pairOf(suite)
		f.Add(must(a.Save(nil)), []byte("\x17\x03\x03\x00\x20"))
		b.more().handshake = []byte{messageKeyUpdate, 0}
		b.more().state = &tls.ConnectionState{ServerName: "localhost", NegotiatedProtocol: "h2",
			PeerCertificates: []*x509.Certificate{testConfig().Certificates[0].Leaf}}
		f.Add(must(b.Save(nil)), a.Seal(nil, []byte("data")))
	}
	f.Fuzz(func(t *testing.T, state, input []byte) {
		r, err := loadRecords(newLoop(2, 2), bytes.Clone(state))
		if err != nil {
			return
		}
		if b, err := r.Save(nil); err != nil || !bytes.Equal(b, state) {
			t.Fatalf("%x was saved as %x, %v", state, b, err)
		}
		r.Seal(nil, r.SealEnd(r.Seal(nil, input)))
		rc := receiver{stream: r, answers: true}
		rc.feed(input)
		rc.close()
	})
}

// BenchmarkMove saves and loads a connection of TLS 1.3, for both processes together.
func BenchmarkMove(b *testing.B) {
	r, _ := pairOf(0)
	l := newLoop(2, 2)
	state := make([]byte, 0, 1000)
	b.ReportAllocs()
	for b.Loop() {
		state = must(r.records.Save(state[:0]))
		must(loadRecords(l, state))
	}
	b.ReportMetric(float64(len(state)), "B/state")
}
