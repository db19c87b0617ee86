package examples

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// pilot is a client of the arena: see parseInput and appendSnapshot in arena/snapshot.go.
type pilot struct {
	net.Conn
	t     *testing.T
	have  uint32
	seq   uint16
	score int
	me    struct {
		Type, Token string
		ID, Score   int
	}
}

func (p *pilot) hello(hello any) {
	p.t.Helper()
	b, err := json.Marshal(hello)
	if err == nil {
		err = wsutil.WriteClientText(p, b)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// read reads a message. It returns a snapshot, nil if it is another one.
func (p *pilot) read() []byte {
	p.t.Helper()
	p.SetReadDeadline(time.Now().Add(patience))
	b, op, err := wsutil.ReadServerData(p)
	if err != nil {
		p.t.Fatal(err)
	}
	switch {
	case op == ws.OpText:
		p.have++
		e := p.me
		if err := json.Unmarshal(b, &e); err != nil {
			p.t.Fatal(err)
		}
		if e.Type == "you" || e.Type == "back" {
			p.me = e
		}
	case b[0] == 1:
		p.score = int(binary.LittleEndian.Uint16(b[9:]))
		return b
	}
	return nil
}

// steer flies to the nearest orb of a snapshot, or to the middle.
func (p *pilot) steer(b []byte) {
	p.t.Helper()
	short := func(at int) float64 { return float64(binary.LittleEndian.Uint16(b[at:])) }
	x, y := short(12), short(14)
	dx, dy, best := 1600*16-x, 1600*16-y, math.Inf(1)
	at := 16
	for _, size := range []int{8, 6} {
		at += 1 + int(b[at])*size
	}
	for i := range int(b[at]) {
		ox, oy := short(at+3+6*i)-x, short(at+5+6*i)-y
		if d := math.Hypot(ox, oy); d < best {
			dx, dy, best = ox, oy, d
		}
	}
	length := math.Hypot(dx, dy) + 1
	p.seq++
	in := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16([]byte{1}, p.seq), p.have)
	in = append(in, byte(int8(dx/length*127)), byte(int8(dy/length*127)), 0, 0)
	if err := wsutil.WriteClientBinary(p, in); err != nil {
		p.t.Fatal(err)
	}
}

// TestArena: a player that loses its connection has its ship and its score when it comes back.
func TestArena(t *testing.T) {
	server := run(t, "arena", "-addr", "127.0.0.1:0", "-bots", "0", "-loops", "2")
	wantPages(t, server)
	p := &pilot{Conn: dialWS(t, server.address, "/ws"), t: t}
	p.hello(map[string]any{"name": "Ada"})
	for p.score < 3 {
		if b := p.read(); b != nil {
			p.steer(b)
		}
	}
	before := p.me
	if before.Type != "you" || len(before.Token) != 32 {
		t.Fatalf("%+v", before)
	}
	p.Close()

	again := &pilot{Conn: dialWS(t, server.address, "/ws"), t: t, have: p.have}
	again.hello(map[string]any{"token": before.Token, "have": p.have})
	for again.me.Type == "" {
		again.read()
	}
	if m := again.me; m.Type != "back" || m.ID != before.ID || m.Score < 3 {
		t.Errorf("it was %+v with a score of %d, and is %+v", before, p.score, m)
	}
	server.stop(t, syscall.SIGTERM)
}
