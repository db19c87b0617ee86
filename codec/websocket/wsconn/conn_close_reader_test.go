package wsconn_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// TestCloseLeavesWhatAReaderHas: Close drops what is left of a compressed message that another
// goroutine reads. The decompressor wrote the dropped bytes, and then those of other connections,
// to where the bytes were that this one had not read yet.
func TestCloseLeavesWhatAReaderHas(t *testing.T) {
	var message []byte
	for i := range 20_000 {
		message = fmt.Appendf(message, "line %d\n", i)
	}
	a, b := carriers(t)["TCP"]()
	client, server := connect(t, a, b, &wsconn.Config{Compression: &wsconn.Compression{}})
	written := make(chan error, 1)
	go func() { written <- client.Write(deadline(t), wsconn.Text, message) }()
	_, r, err := server.Reader(deadline(t))
	if err != nil {
		t.Fatal(err)
	}
	var begun, ended atomic.Int64 // calls of Read
	all := make(chan []byte, 1)
	go func() {
		var got []byte
		for {
			p := make([]byte, 8)
			begun.Add(1)
			n, err := r.Read(p)
			ended.Add(1)
			got = append(got, p[:n]...)
			if err != nil {
				all <- got
				return
			}
			time.Sleep(50 * time.Microsecond)
		}
	}()
	closed := make(chan error, 1)
	go func() { closed <- server.Close(wsconn.NormalClosure, "") }()
	if err := <-written; err != nil { // Close reads the rest
		t.Fatal(err)
	}
	for waits := false; !waits && deadline(t).Err() == nil; { // Read, for Close
		n := ended.Load()
		time.Sleep(10 * time.Millisecond)
		waits = begun.Load() == n+1 && ended.Load() == n
	}
	client.Read(context.Background()) // which answers
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if got := <-all; !bytes.HasPrefix(message, got) {
		t.Errorf("Read has given what was not sent, within %d bytes", len(got))
	}
}
