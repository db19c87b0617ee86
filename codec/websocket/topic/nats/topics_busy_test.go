package nats

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
)

// TestSubscribeWhileKeeperWaits: clients that subscribe to topics and leave them, while the keeper
// waits for a server, do not fill the memory. With names of 255 dots it was 1.8 GB.
func TestSubscribeWhileKeeperWaits(t *testing.T) {
	s := startServer(t, nil)
	b, blocked := &Broker{URL: s.ClientURL()}, make(chan struct{})
	err := b.Start(newRecorder(b), func(name string) topic.Options {
		<-blocked
		return topic.Options{}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(t.Context()) })
	waiting := func() (ops, bytes int) {
		b.keeper.mu.Lock()
		defer b.keeper.mu.Unlock()
		return len(b.keeper.ops), b.keeper.bytes
	}
	if err := b.Subscribe("first"); err != nil {
		t.Fatal(err)
	}
	until(t, "the keeper waits", func() bool { n, _ := waiting(); return n == 0 })
	for i := 0; err == nil; i++ {
		name := strings.Repeat(".", 240) + fmt.Sprint(i)
		if err = b.Subscribe(name); err == nil {
			b.Unsubscribe(name)
		}
		if _, bytes := waiting(); bytes > opsBytes+4096 {
			t.Fatalf("%d bytes wait", bytes)
		}
	}
	if !errors.Is(err, engine.ErrBusy) {
		t.Errorf("error %v", err)
	}
	close(blocked)
	until(t, "all is done", func() bool { n, bytes := waiting(); return n == 0 && bytes == 0 })
	if err := b.Subscribe("last"); err != nil {
		t.Error(err)
	}
}
