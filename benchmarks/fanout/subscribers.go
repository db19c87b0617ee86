//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// patience is how long anything may take that does not depend on how long is measured.
const patience = 30 * time.Second

// subscribers are connections that read what they are sent, on one loop.
type subscribers struct {
	eng     *engine.Engine
	ended   chan struct{}
	got     atomic.Int64
	want    atomic.Int64
	reached chan struct{} // got is want
	lost    chan error
	delay   func(time.Duration) // called on the loop with the age of each message, if not nil
}

// subscribe opens the subscribers of a server.
func subscribe(f *farm, o options) (*subscribers, error) {
	eng, err := engine.New(engine.Config{Loops: 1})
	if err != nil {
		return nil, err
	}
	s := &subscribers{eng: eng, ended: make(chan struct{}), reached: make(chan struct{}, 1), lost: make(chan error, 1)}
	go func() {
		eng.Run(context.Background())
		close(s.ended)
	}()
	if err := s.open(f, o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *subscribers) close() {
	s.eng.Close()
	<-s.ended
}

// open dials a few at a time, and returns when the server has all subscriptions.
func (s *subscribers) open(f *farm, o options) error {
	cl := &websocket.Client{
		Message: s.message,
		Close: func(_ *websocket.Conn, err error) {
			select {
			case s.lost <- err:
			default:
			}
		},
	}
	const atOnce = 64
	results := make(chan error, atOnce)
	for i := range o.subscribers + atOnce {
		if i >= atOnce {
			if err := <-results; err != nil {
				return err
			}
		}
		if i >= o.subscribers {
			continue
		}
		name := topicName(i % o.topics)
		err := cl.Dial(context.Background(), s.eng, "ws://"+f.server.Addr+"/"+name, func(c *websocket.Conn, err error) {
			if err == nil && f.config.name == "centrifuge" {
				_, err = c.Send(websocket.Text, centrifugeSubscribe(name))
			}
			results <- err
		})
		if err != nil {
			return err
		}
	}
	for late := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		a, err := f.ask(command{})
		if err != nil || a.Subscriptions == o.subscribers {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s: %d of %d subscriptions", f.config.name, a.Subscriptions, o.subscribers)
		}
	}
}

func (s *subscribers) message(c *websocket.Conn, _ websocket.Opcode, data []byte) {
	if isCentrifugePing(data) {
		c.Send(websocket.Text, []byte(centrifugePing))
	}
	for age, rest := next(data); rest != nil; age, rest = next(rest) {
		if s.delay != nil {
			s.delay(age)
		}
		if s.got.Add(1) == s.want.Load() {
			s.reached <- struct{}{}
		}
	}
}

// next returns the age of the first message in data and what follows, or nil if there is none.
func next(data []byte) (age time.Duration, rest []byte) {
	const digits = 20
	i := bytes.Index(data, []byte(mark))
	if i < 0 || len(data) < i+len(mark)+digits {
		return 0, nil
	}
	rest = data[i+len(mark):]
	at, err := strconv.ParseInt(string(rest[:digits]), 10, 64)
	if err != nil {
		return 0, nil
	}
	return now() - time.Duration(at), rest[digits:]
}

// burst has each topic publish its messages, and waits until every subscriber has got them.
func (s *subscribers) burst(f *farm, o options) error {
	s.want.Store(s.got.Load() + int64(o.subscribers*o.burst))
	release := func() {}
	if o.held {
		held := make(chan struct{})
		release = sync.OnceFunc(func() { close(held) })
		defer release()
		s.eng.Post(0, func() { <-held })
	}
	if _, err := f.ask(command{Topics: o.topics, Burst: o.burst, Size: o.size}); err != nil {
		return err
	}
	if o.held {
		if err := f.idle(); err != nil {
			return err
		}
		release()
	}
	select {
	case <-s.reached:
		return nil
	case err := <-s.lost:
		return fmt.Errorf("%s: a connection was lost: %w", f.config.name, err)
	case <-time.After(patience):
		return errors.New(f.config.name + ": messages were lost")
	}
}
