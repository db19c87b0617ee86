package wsconn_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
)

// TestConnLives: goroutines do anything with both ends, within contexts that end at any time, until
// somebody ends the connection. No message is changed or out of order, every call returns, and
// nothing is left behind.
func TestConnLives(t *testing.T) {
	seeds, first := 3, uint64(1)
	if s := os.Getenv("LIVES_SEED"); s != "" {
		first, _ = strconv.ParseUint(s, 10, 64)
		seeds = 1
	}
	if s := os.Getenv("LIVES_SEEDS"); s != "" {
		seeds, _ = strconv.Atoi(s)
	}
	for name, carrier := range carriers(t) {
		for seed := first; seed < first+uint64(seeds); seed++ {
			t.Run(name+" "+strconv.FormatUint(seed, 10), func(t *testing.T) {
				before := runtime.NumGoroutine()
				a, b := carrier()
				config := &wsconn.Config{Limits: wsconn.Limits{CloseTimeout: 200 * time.Millisecond,
					IdleTimeout: 100 * time.Millisecond}}
				if seed%2 == 0 {
					config.Compression = &wsconn.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}
				}
				client, server := connect(t, a, b, config)
				w := &connWorld{t: t, rng: rand.New(rand.NewPCG(seed, 1))}
				var all sync.WaitGroup
				for _, c := range []*wsconn.Conn{client, server} {
					w.live(&all, c)
				}
				returned := make(chan bool)
				go func() {
					all.Wait()
					close(returned)
				}()
				select {
				case <-returned:
				case <-time.After(patience):
					b := make([]byte, 1<<20)
					t.Fatalf("calls have not returned: %s", b[:runtime.Stack(b, true)])
				}
				for _, c := range []*wsconn.Conn{client, server} {
					c.CloseNow()
					if _, _, err := c.Read(t.Context()); err == nil {
						t.Error("Read at the end")
					}
				}
				for end := time.Now().Add(patience); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						b := make([]byte, 1<<20)
						t.Fatalf("goroutines are left: %s", b[:runtime.Stack(b, true)])
					}
				}
			})
		}
	}
}

type connWorld struct {
	t   *testing.T
	mu  sync.Mutex
	rng *rand.Rand
}

func (w *connWorld) n(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

// soon returns a context that ends, sometimes before it is used.
func (w *connWorld) soon() (context.Context, context.CancelFunc) {
	if w.n(8) > 0 {
		return context.WithTimeout(context.Background(), time.Second)
	}
	return context.WithTimeout(context.Background(), time.Duration(w.n(2000))*time.Microsecond)
}

// live begins to use c.
func (w *connWorld) live(all *sync.WaitGroup, c *wsconn.Conn) {
	var over atomic.Bool
	until := func(err error) {
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			over.Store(true)
		}
	}
	for id := range 3 {
		all.Go(func() {
			for seq := uint32(1); !over.Load(); seq++ {
				until(w.write(c, uint32(id), seq))
			}
		})
	}
	all.Go(func() {
		var last [3]uint32
		for !over.Load() {
			until(w.read(c, &last))
		}
	})
	all.Go(func() {
		for !over.Load() {
			ctx, cancel := w.soon()
			until(c.Ping(ctx))
			cancel()
			time.Sleep(time.Millisecond)
		}
	})
	all.Go(func() {
		time.Sleep(time.Duration(w.n(300)) * time.Millisecond)
		switch w.n(5) {
		case 0:
			c.Close(wsconn.NormalClosure, "")
		case 1:
			c.CloseNow()
		case 2:
			c.CloseRead(context.Background())
			time.Sleep(20 * time.Millisecond)
			c.Close(4000, "")
		case 3:
			c.Underlying().Close()
			c.CloseNow()
		case 4:
			go c.Close(4001, "")
			c.Close(4002, "")
		}
		over.Store(true)
	})
}

// write sends a message that read can check.
func (w *connWorld) write(c *wsconn.Conn, id, seq uint32) error {
	ctx, cancel := w.soon()
	defer cancel()
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, id), seq)
	b = append(b, bytes.Repeat([]byte{byte(seq)}, w.n(1+10<<w.n(14)))...)
	switch w.n(4) {
	case 0:
		wr, err := c.Writer(ctx, wsconn.Binary)
		if err != nil {
			return err
		}
		for len(b) > 0 {
			n := 1 + w.n(len(b))
			if _, err := wr.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		return wr.Close()
	case 1:
		return c.WritePlain(ctx, wsconn.Binary, b)
	}
	return c.Write(ctx, wsconn.Binary, b)
}

// read reads a message, or the beginning of one.
func (w *connWorld) read(c *wsconn.Conn, last *[3]uint32) error {
	ctx, cancel := w.soon()
	defer cancel()
	var b []byte
	if w.n(2) == 0 {
		_, data, err := c.Read(ctx)
		if err != nil {
			return err
		}
		b = data
	} else {
		_, r, err := c.Reader(ctx)
		if err != nil {
			return err
		}
		b, err = io.ReadAll(io.LimitReader(r, int64(8+w.n(200<<10))))
		if err != nil && len(b) < 8 {
			return err
		}
	}
	id, seq := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if id > 2 || seq <= last[id] || bytes.Count(b[8:], []byte{byte(seq)}) < len(b)-8 {
		w.t.Errorf("message %d of %d, behind %d", seq, id, last)
		return io.ErrUnexpectedEOF
	}
	last[id] = seq
	return nil
}
