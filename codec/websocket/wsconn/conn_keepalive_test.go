package wsconn_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// reading reads in a goroutine until the connection ends.
func reading(ctx context.Context, c *wsconn.Conn) (ended chan error) {
	ended = make(chan error, 1)
	go func() {
		for {
			if _, _, err := c.Read(ctx); err != nil {
				ended <- err
				return
			}
		}
	}()
	return ended
}

// fast is a Config for tests that need not wait long.
func fast() *wsconn.Config {
	return &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: 10 * time.Second, PongTimeout: 5 * time.Second}}
}

var emptyPing = wstest.Frame{Opcode: wsproto.Ping}

// TestKeepalivePingsASilentPeer after IdleTimeout, and ends the connection PongTimeout later.
func TestKeepalivePingsASilentPeer(t *testing.T) {
	for _, test := range []struct {
		name   string
		config *wsconn.Config
		ping   time.Duration // 0: never
		end    time.Duration // after the ping; 0: never
	}{
		{name: "defaults", ping: 45 * time.Second, end: 45 * time.Second},
		{name: "IdleTimeout", config: &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: 7 * time.Second}},
			ping: 7 * time.Second, end: 7 * time.Second},
		{name: "both", config: &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: 50 * time.Second,
			PongTimeout: 3 * time.Second}},
			ping: 50 * time.Second, end: 3 * time.Second},
		{name: "no end", config: &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: time.Second, PongTimeout: -1}},
			ping: time.Second},
		{name: "off", config: &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: -1, PongTimeout: time.Second}}},
	} {
		for role, ends := range roles {
			t.Run(test.name+" "+role, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, p := ends(t, test.config)
					p.Timeout = 24 * time.Hour
					ended := reading(t.Context(), c)
					for range 3 { // answered
						if before := time.Now(); test.ping != 0 {
							p.ExpectFrame(emptyPing)
							if took := time.Since(before); took != test.ping {
								t.Fatalf("ping after %v", took)
							}
							p.Send(wsproto.Pong, "")
						}
						synctest.Wait()
						time.Sleep(max(0, test.ping-time.Second)) // then a message
						p.Send(wsproto.Text, "hello")
						synctest.Wait()
					}
					if test.ping != 0 {
						p.ExpectFrame(emptyPing)
					}
					before := time.Now()
					time.AfterFunc(time.Hour, c.CloseNow)
					err := <-ended
					if took := time.Since(before); test.end != 0 && (took != test.end || err != wsconn.ErrPongTimeout) {
						t.Errorf("ended after %v: %v", took, err)
					} else if test.end == 0 && took != time.Hour {
						t.Errorf("ended after %v: %v", took, err)
					}
					p.ExpectEnd()
				})
			})
		}
	}
}

// TestKeepaliveOnlyWhileReading: time in which nobody reads is not the peer's, however the reads
// are cut.
func TestKeepaliveOnlyWhileReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, fast())
		p.Timeout = time.Hour
		read := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, _, err := c.Read(ctx)
			return err
		}
		for range 9 {
			time.Sleep(time.Minute)
			if err := read(time.Second); err != context.DeadlineExceeded {
				t.Fatal(err)
			}
		}
		before := time.Now()
		ended := make(chan error)
		go func() { ended <- read(2 * time.Second) }()
		p.ExpectFrame(emptyPing)
		if took := time.Since(before); took != time.Second {
			t.Errorf("ping after %v", took)
		}
		if err := <-ended; err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		p.Send(wsproto.Pong, "") // late, but nobody has waited for it
		if err := read(time.Second); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		before = time.Now()
		if err := read(time.Hour); err != wsconn.ErrPongTimeout {
			t.Errorf("after %v: %v", time.Since(before), err)
		}
		if took := time.Since(before); took != 14*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// TestKeepaliveBehindASlowMessage: PongTimeout does not run while the peer takes a message that the
// ping waits behind.
func TestKeepaliveBehindASlowMessage(t *testing.T) {
	for role, ends := range roles {
		for _, dies := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c, p := ends(t, fast())
				p.Underlying().SetDeadline(time.Time{}) // the Peer's own
				ended := reading(t.Context(), c)
				written := make(chan error, 1)
				go func() { written <- c.Write(t.Context(), wsconn.Binary, make([]byte, 2<<20)) }()
				for range 60 { // much longer than the timeouts
					time.Sleep(time.Second)
					io.ReadFull(p.Underlying(), make([]byte, 16<<10))
				}
				synctest.Wait()
				if len(ended) != 0 {
					t.Fatalf("%s: %v", role, <-ended)
				}
				if !dies {
					discardAll(p)
				}
				before := time.Now()
				err := <-ended
				if err != wsconn.ErrPongTimeout {
					t.Fatalf("%s: %v", role, err)
				}
				if took := time.Since(before); took > 6*time.Second {
					t.Errorf("%s: it took %v", role, took)
				}
				if err := <-written; dies && err != wsconn.ErrPongTimeout || !dies && err != nil {
					t.Errorf("%s: Write: %v", role, err)
				}
			})
		}
	}
}

// discardAll takes everything and answers nothing.
func discardAll(p *wstest.Peer) {
	go func() {
		for b := make([]byte, 64<<10); ; {
			if _, err := p.Underlying().Read(b); err != nil {
				return
			}
		}
	}()
}

// TestKeepaliveAfterAWriteGivenUp: a ping that could not be sent then is sent later, and the peer
// has its time to answer.
func TestKeepaliveAfterAWriteGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, fast())
		ended := reading(t.Context(), c)
		// it fills the pipe
		if err := c.Write(t.Context(), wsconn.Binary, make([]byte, 64<<10-4)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		if err := c.Write(ctx, wsconn.Text, nil); err != context.DeadlineExceeded {
			t.Fatal(err)
		}
		if f := p.Frame(); f.Opcode != wsproto.Binary {
			t.Fatal(f)
		}
		p.ExpectFrame(emptyPing)
		p.Send(wsproto.Pong, "")
		time.Sleep(9 * time.Second)
		if len(ended) != 0 {
			t.Fatal(<-ended)
		}
		p.Close(1000, "")
		<-ended
	})
}

// TestKeepaliveAfterOurCloseFrame: no ping may follow it.
func TestKeepaliveAfterOurCloseFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := wstest.Server(t, &wsconn.Config{Limits: wsconn.Limits{IdleTimeout: 10 * time.Second, CloseTimeout: -1}})
		p.Timeout = time.Hour
		before := time.Now()
		if err := c.Close(1000, ""); !errors.Is(err, wsconn.ErrPongTimeout) || time.Since(before) != 20*time.Second {
			t.Errorf("%v after %v", err, time.Since(before))
		}
		p.ExpectClose(1000)
		p.ExpectEnd()
	})
}

// TestKeepaliveBehindAPong: the goroutine that read waited for the peer to take a pong, for ever,
// and so nobody found out that the peer was silent.
func TestKeepaliveBehindAPong(t *testing.T) {
	for role, ends := range roles {
		synctest.Test(t, func(t *testing.T) {
			c, p := ends(t, fast())
			ended := reading(t.Context(), c)
			// it all but fills the pipe
			if err := c.Write(t.Context(), wsconn.Binary, make([]byte, 64<<10-10)); err != nil {
				t.Fatal(err)
			}
			p.Send(wsproto.Ping, "more than there is room for")
			time.AfterFunc(time.Hour, c.CloseNow)
			before := time.Now()
			err := <-ended
			if took := time.Since(before); err != wsconn.ErrPongTimeout || took > 20*time.Second {
				t.Errorf("%s: ended after %v: %v", role, took, err)
			}
		})
	}
}
