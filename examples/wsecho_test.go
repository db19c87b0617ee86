package examples

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestWSEchoBroadcast: what a connection at /broadcast says goes to all that are open, also after most have left.
func TestWSEchoBroadcast(t *testing.T) {
	figures := filepath.Join(t.TempDir(), "s")
	p := run(t, "wsecho", "-addr", "127.0.0.1:0", "-loops", "2", "-metrics", figures)
	speaker := dialWS(t, p.address, "/broadcast")
	all := []net.Conn{speaker}
	for range 40 {
		all = append(all, dialWS(t, p.address, "/"))
	}
	hear := func(c net.Conn, text string) {
		t.Helper()
		if got, op, err := wsutil.ReadServerData(c); err != nil || op != ws.OpText || string(got) != text {
			t.Fatalf("%x %q, %v, want %q", op, got, err, text)
		}
	}
	for _, c := range all[1:] { // those whose echo is there have been joined by the speaker's message
		wsutil.WriteClientText(c, []byte("echo"))
		hear(c, "echo")
	}
	wsutil.WriteClientText(speaker, []byte("to all"))
	for _, c := range all {
		hear(c, "to all")
	}
	for i, c := range all {
		if i%10 != 0 {
			c.Close()
		}
	}
	waitForConnections(t, figures, 5)
	wsutil.WriteClientText(speaker, []byte("to the rest"))
	for i := 0; i < len(all); i += 10 {
		hear(all[i], "to the rest")
	}
	for i := 0; i < len(all); i += 10 {
		all[i].Close()
	}
	p.stop(t, syscall.SIGTERM)
}

// TestWSEchoLarge: a large message comes back to a peer that reads nothing before all is sent, and one of a speaker, whose frames
// come with others' messages in between, goes to all as one.
func TestWSEchoLarge(t *testing.T) {
	p := run(t, "wsecho", "-addr", "127.0.0.1:0", "-loops", "1")
	large := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	c := dialWS(t, p.address, "/")
	c.SetDeadline(time.Now().Add(2 * patience))
	if err := wsutil.WriteClientBinary(c, bytes.Clone(large)); err != nil {
		t.Fatal(err)
	}
	if got, op, err := wsutil.ReadServerData(c); err != nil || op != ws.OpBinary || !bytes.Equal(got, large) {
		t.Fatalf("%x of %d bytes, %v", op, len(got), err)
	}
	speaker := dialWS(t, p.address, "/broadcast")
	for _, part := range []ws.Frame{
		ws.NewFrame(ws.OpText, false, large[:100_000]), ws.NewFrame(ws.OpContinuation, false, large[100_000:100_001]),
		ws.NewPingFrame([]byte("between")), ws.NewFrame(ws.OpContinuation, true, large[100_001:300_000]),
	} {
		if err := ws.WriteFrame(speaker, ws.MaskFrame(part)); err != nil {
			t.Fatal(err)
		}
		if part.Header.OpCode == ws.OpPing {
			wsutil.WriteClientText(c, []byte("echo"))
			if got, _, err := wsutil.ReadServerData(c); err != nil || string(got) != "echo" {
				t.Fatalf("%.20q, %v", got, err)
			}
		}
	}
	for _, c := range []net.Conn{c, speaker} {
		if got, op, err := wsutil.ReadServerData(c); err != nil || op != ws.OpText || !bytes.Equal(got, large[:300_000]) {
			t.Fatalf("%x of %d bytes, %v", op, len(got), err)
		}
	}
	c.Close()
	speaker.Close()
	p.stop(t, syscall.SIGTERM)
}

// TestWSEchoIsOneFrame: a message of up to 64 KiB comes back in one frame, also if it does not come at once.
func TestWSEchoIsOneFrame(t *testing.T) {
	p := run(t, "wsecho", "-addr", "127.0.0.1:0", "-loops", "1")
	c := dialWS(t, p.address, "/")
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 64<<10))))
	c.Write(frame[:40_000])
	ping := dialWS(t, p.address, "/") // while the loop has the first part only
	wsutil.WriteClientText(ping, []byte("turn"))
	if _, _, err := wsutil.ReadServerData(ping); err != nil {
		t.Fatal(err)
	}
	c.Write(frame[40_000:])
	if h, err := ws.ReadHeader(c); err != nil || !h.Fin || h.OpCode != ws.OpBinary || h.Length != 64<<10 {
		t.Fatalf("%+v, %v", h, err)
	}
	c.Close()
	ping.Close()
	p.stop(t, syscall.SIGTERM)
}

// TestWSEchoToThoseWhoNeverRead: a peer that sends and never reads is not taken in without a bound, with large messages either.
func TestWSEchoToThoseWhoNeverRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	p := run(t, "wsecho", "-addr", "127.0.0.1:0", "-loops", "1", "-metrics", path)
	before := waitForConnections(t, path, 0)
	c := dialWS(t, p.address, "/")
	c.SetDeadline(time.Now().Add(time.Second)) // for as much of 256 MiB as it takes
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 1<<20))))
	sent := 0
	for sent < 256 {
		if _, err := c.Write(frame); err != nil {
			break
		}
		sent++
	}
	if grown := waitForConnections(t, path, 1) - before; sent == 256 || grown > 16<<20 {
		t.Fatalf("%d MiB were taken, and made it grow by %.1f MiB", sent, grown/(1<<20))
	}
	c.Close()
	p.stop(t, syscall.SIGTERM)
}

// TestWSEchoIsWithoutHTTP: the linker leaves net/http's server out of a program that accepts WebSockets alone. The names of a
// program's functions are in it.
func TestWSEchoIsWithoutHTTP(t *testing.T) {
	for name, want := range map[string]bool{"wsecho": false, "chat": true} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(b, []byte("net/http.(*Server).Serve\x00")); got != want {
			t.Errorf("%s has net/http's server: %v, want %v", name, got, want)
		}
		if got := bytes.Contains(b, []byte("crypto/tls.(*Conn).clientHandshake\x00")); got != want {
			t.Errorf("%s has crypto/tls: %v, want %v", name, got, want)
		}
	}
}

// waitForConnections asks for wsecho's figures until it has n WebSockets open, looks at what else is there, and returns how many
// bytes of memory it has.
func waitForConnections(t *testing.T, path string, n int) float64 {
	t.Helper()
	for end := time.Now().Add(patience); ; { // each answer is one turn of the loop later, at the least
		var figures struct {
			Engine, Go map[string]any
		}
		if err := json.NewDecoder(dialTCP(t, "unix", path)).Decode(&figures); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"heap_bytes", "heap_in_use_bytes", "total_bytes"} {
			if v, _ := figures.Go[name].(float64); v < 100<<10 || v > 1<<30 {
				t.Errorf("%s is %v", name, figures.Go[name])
			}
		}
		if figures.Engine["connections"] == float64(n) {
			return figures.Go["total_bytes"].(float64)
		}
		if time.Now().After(end) {
			t.Fatalf("%v connections, want %d", figures.Engine["connections"], n)
		}
	}
}
