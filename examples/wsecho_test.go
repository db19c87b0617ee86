package examples

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestWSEchoLarge: a large message comes back to a peer that reads nothing before it has sent all,
// in fragments and with a ping between them too. Then the connection still echoes.
func TestWSEchoLarge(t *testing.T) {
	p := run(t, "wsecho", "-addr", "127.0.0.1:0", "-loops", "1")
	large := bytes.Repeat([]byte("0123456789abcdef"), 2<<20)
	half := len(large) / 2
	for _, test := range []struct {
		name   string
		frames []ws.Frame
	}{
		{name: "one frame", frames: []ws.Frame{ws.NewBinaryFrame(large)}},
		{name: "fragments", frames: []ws.Frame{
			ws.NewFrame(ws.OpBinary, false, large[:half]), ws.NewFrame(ws.OpContinuation, false, large[half:half+1]),
			ws.NewPingFrame([]byte("between")), ws.NewFrame(ws.OpContinuation, true, large[half+1:]),
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dialWS(t, p.address, "/")
			c.SetDeadline(time.Now().Add(2 * patience))
			for _, f := range test.frames {
				if err := ws.WriteFrame(c, ws.MaskFrame(f)); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range [][]byte{large, []byte("small")} {
				got, op, err := wsutil.ReadServerData(c)
				if err != nil || op != ws.OpBinary || !bytes.Equal(got, want) {
					t.Fatalf("%x of %d bytes, %v, want %d bytes", op, len(got), err, len(want))
				}
				wsutil.WriteClientBinary(c, []byte("small"))
			}
			c.Close()
		})
	}
	p.stop(t, syscall.SIGTERM)
}

// TestWSEchoIsOneFrame: a message of up to 64 KiB comes back in one frame, also if it does not come
// at once.
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

// TestWSEchoToThoseWhoNeverRead: a peer that sends and never reads does not make the server grow
// without a bound, with large messages either.
func TestWSEchoToThoseWhoNeverRead(t *testing.T) {
	p := run(t, "wsecho", "-addr", "127.0.0.1:0", "-loops", "1")
	before := p.resident(t)
	c := dialWS(t, p.address, "/")
	frame := ws.MustCompileFrame(ws.MaskFrame(ws.NewBinaryFrame(make([]byte, 1<<20))))
	sent := 0
	for sent < 256 { // as much as the server takes
		c.SetDeadline(time.Now().Add(2 * time.Second))
		if _, err := c.Write(frame); err != nil {
			break
		}
		sent++
	}
	if grown := p.resident(t) - before; sent == 256 || grown > 16<<20 {
		t.Fatalf("%d MiB were taken, and made it grow by %.1f MiB", sent, float64(grown)/(1<<20))
	}
	c.Close()
	p.stop(t, syscall.SIGTERM)
}

// resident is how many bytes of memory the process has, by Linux's proc(5).
func (p *process) resident(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("there is no /proc to read")
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// TestWSEchoIsWithoutHTTP: the linker leaves net/http's server out of a program that accepts
// WebSockets alone. The names of a program's functions are in it.
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
