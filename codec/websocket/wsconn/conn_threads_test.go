package wsconn_test

import (
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// TestReaderWithAThreadOfItsOwn: if a goroutine with LockOSThread had read a part of a compressed
// message, CloseNow of any other goroutine ended the process.
func TestReaderWithAThreadOfItsOwn(t *testing.T) {
	c, p := wstest.Server(t, &wsconn.Config{Compression: &wsconn.Compression{}})
	noise := make([]byte, 100_000)
	rand.NewChaCha8([32]byte{}).Read(noise)
	f := p.Compressed(wsproto.Binary, string(noise))
	go p.SendFrames(wstest.Frame{Opcode: f.Opcode, RSV: f.RSV, Payload: f.Payload[:50_000], More: true})
	read := make(chan error)
	go func() {
		runtime.LockOSThread()
		_, r, err := c.Reader(t.Context())
		if err == nil {
			_, err = io.ReadFull(r, make([]byte, 10))
		}
		read <- err
	}()
	if err := <-read; err != nil {
		t.Fatal(err)
	}
	c.CloseNow()
}
