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
	board map[int]int // scores by ID, of those on the latest board
	news  int         // boards so far
	left  map[int]bool
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
		switch e.Type {
		case "you", "back":
			p.me = e
		case "left":
			p.left[e.ID] = true
		}
	case b[0] == 2:
		var board struct{ Top []struct{ ID, Score int } }
		if err := json.Unmarshal(b[1:], &board); err != nil {
			p.t.Fatal(err)
		}
		p.news++
		clear(p.board)
		for _, row := range board.Top {
			p.board[row.ID] = row.Score
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

func newPilot(t *testing.T, address string, hello map[string]any) *pilot {
	t.Helper()
	p := &pilot{Conn: dialWS(t, address, "/ws"), t: t, board: map[int]int{}, left: map[int]bool{}}
	if have, ok := hello["have"]; ok {
		p.have = have.(uint32)
	}
	p.SetDeadline(time.Now().Add(time.Minute))
	p.hello(hello)
	for p.me.Type == "" {
		p.read()
	}
	return p
}

// TestArena: a player that loses its connection has its ship and its very score when it comes back
// within 10 s, even at the end of them, and neither when it comes back later.
func TestArena(t *testing.T) {
	server := run(t, "arena", "-addr", "127.0.0.1:0", "-bots", "0", "-loops", "2")
	wantPages(t, server)
	watcher := newPilot(t, server.address, map[string]any{"name": "Watcher"})
	p := newPilot(t, server.address, map[string]any{"name": "Ada"})
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
	lost := time.Now()
	score := 0
	for n := watcher.news; time.Since(lost) < 9*time.Second; {
		watcher.read()
		if now, ok := watcher.board[before.ID]; watcher.news > n+1 { // the server knows by then
			if score == 0 {
				score = now
			}
			if !ok || now != score || score < 3 {
				t.Fatalf("its score was %d, and is %d while it is away", score, now)
			}
		}
	}
	back := map[string]any{"token": before.Token, "have": p.have}
	again := newPilot(t, server.address, back)
	if m := again.me; m.Type != "back" || m.ID != before.ID || m.Score != score {
		t.Errorf("it was %+v with a score of %d, and is %+v", before, score, m)
	}
	again.Close()
	lost = time.Now()
	for !watcher.left[before.ID] {
		watcher.read()
	}
	if away := time.Since(lost); away < 9900*time.Millisecond || away > 15*time.Second {
		t.Errorf("its seat has ended after %v", away)
	}
	if m := newPilot(t, server.address, back).me; m.Type != "you" || m.Score != 0 || m.Token == before.Token {
		t.Errorf("it came too late, and is %+v", m)
	}
	server.stop(t, syscall.SIGTERM)
}
