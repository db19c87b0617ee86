package topic_test

import (
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
)

// TestConflatedReaderCostsLittle: with the default buffers, a subscriber that does not read holds
// at most 64 KiB in the process and in the kernel.
func TestConflatedReaderCostsLittle(t *testing.T) {
	h := topic.Hub{Options: func(string) topic.Options { return topic.Options{Conflate: true} }}
	opened := make(chan websocket.Handle, 1)
	url := wstest.Serve(t, &websocket.Server{Open: func(c *websocket.Conn) {
		if err := h.Subscribe(c, "t"); err != nil {
			t.Error(err)
		}
		opened <- c.Handle()
	}})
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
		return err
	}}
	conn, _, _, err := ws.Dialer{NetDial: d.DialContext}.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	handle := <-opened
	type held struct{ process, kernel int }
	look := func() held {
		all := make(chan held, 1)
		handle.Post(func(c *websocket.Conn) {
			now := held{process: c.EngineConn().Outbound()}
			if raw, err := c.EngineConn().SyscallConn(); err == nil {
				raw.Control(func(fd uintptr) { now.kernel, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
			}
			all <- now
		})
		return <-all
	}
	data := make([]byte, 1000)
	for deadline := time.Now().Add(20 * time.Second); h.Stats().Conflated < 1000; {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is conflated: %+v, %+v", h.Stats(), look())
		}
		for range 100 {
			h.Publish("t", websocket.Binary, data)
		}
		look() // the loop has sent them
	}
	if now := look(); now.process+now.kernel > 64<<10 {
		t.Errorf("%d bytes wait in the process and %d in the kernel", now.process, now.kernel)
	} else {
		t.Logf("%d bytes wait in the process and %d in the kernel", now.process, now.kernel)
	}
}
