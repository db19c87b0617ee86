package websocket_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// trip ends the call, sometimes.
func (w *world) trip() {
	if w.calm.Load() {
		return
	}
	switch w.n(100) {
	case 0:
		panic("trip")
	case 1:
		runtime.Goexit()
	case 2:
		panic(wicked{w})
	}
}

// wicked is an error whose methods panic, sometimes.
type wicked struct{ w *world }

func (e wicked) Error() string {
	if e.w.n(2) == 0 {
		return "wicked"
	}
	panic(e)
}

func (e wicked) Is(error) bool {
	if e.w.n(20) == 0 {
		panic(e)
	}
	return false
}

// soon is a time at which most has not ended yet.
func (w *world) soon() time.Duration { return time.Duration(w.n(30)) * time.Millisecond }

// act does something that a callback may do.
func (l *life) act() {
	for range l.w.n(3) {
		do := actions()
		do[l.w.n(len(do))](l, l.c)
	}
	l.w.trip()
}

// later calls act in a function that is called later.
func (l *life) later() {
	l.w.enter(l.c, "a function")
	defer l.leave()
	l.act()
}

func actions() []func(l *life, c *websocket.Conn) {
	return []func(l *life, c *websocket.Conn){
		(*life).say, (*life).say, (*life).say,
		func(l *life, c *websocket.Conn) { c.Send(websocket.Binary, make([]byte, l.w.n(200<<10))) },
		func(l *life, c *websocket.Conn) { c.Ping([]byte("ping")) },
		func(l *life, c *websocket.Conn) { c.AfterFunc(l.w.soon(), l.later) },
		func(l *life, c *websocket.Conn) { c.Handle().Post(func(*websocket.Conn) { l.later() }) },
		func(l *life, c *websocket.Conn) { c.Handle().Send(websocket.Text, []byte("posted")) },
		func(l *life, c *websocket.Conn) { c.SendPiece(websocket.Binary, []byte("piece"), l.w.n(2) == 0) },
		(*life).sendFrom, (*life).sendFrom, (*life).sendWait, (*life).attach, (*life).attach, (*life).detach,
		(*life).context, (*life).broadcast, (*life).dial, (*life).pause,
		func(l *life, c *websocket.Conn) { c.EngineConn().SetIdleTimeout(l.w.soon() + time.Millisecond) },
		func(l *life, c *websocket.Conn) {
			if l.w.n(3) == 0 {
				l.end()
			}
		},
	}
}

// say sends a message with a number.
func (l *life) say(c *websocket.Conn) {
	if _, err := c.SendText("s" + strconv.Itoa(l.sent)); err == nil {
		l.sent++
	}
}

// end ends the connection.
func (l *life) end() {
	c := l.c
	switch l.w.n(10) {
	case 0, 1:
		c.Close(websocket.NormalClosure, "")
	case 2:
		c.Handle().Close(4000, "handle")
	case 3:
		c.EngineConn().Close()
	case 4:
		c.EngineConn().Abort()
	case 5:
		c.EngineConn().CloseWith(wicked{l.w})
	case 6:
		c.EngineConn().SetTimeout(l.w.soon() + time.Millisecond)
	case 7:
		told := l.w.owe("take")
		if c.EngineConn().Release(func(nc net.Conn, _, _ []byte, err error) {
			told()
			if err == nil {
				nc.Close()
			}
		}) != nil {
			told()
		}
	case 8:
		l.stay()
	case 9:
		told := l.w.owe("accept of MoveTo")
		if c.EngineConn().MoveTo(l.w.n(2), func(ec *engine.Conn) engine.Protocol {
			told()
			l.w.trip()
			return nil
		}) != nil {
			told()
		}
	}
}

// stay makes a Stream of the connection.
func (l *life) stay() {
	if !l.opened || l.closed.Load() || l.stream || l.w.n(2) == 0 {
		return
	}
	l.stream = true
	l.lasts.Store(true) // Write may wait behind a message without an end, and then nobody reads
	s, told := l.c.Stream(websocket.Binary), l.w.owe("end of a Stream")
	go func() {
		defer told()
		defer s.Close()
		in, out := make([]byte, 1000), make([]byte, 1000)
		for l.w.n(20) > 0 {
			if _, err := s.Write(out[:l.w.n(len(out))]); err != nil {
				return
			}
			if _, err := s.Read(in[:l.w.n(len(in))]); err != nil {
				return
			}
		}
	}()
}

// lifeSource is what SendFrom reads.
type lifeSource struct {
	w   *world
	end <-chan struct{}
}

func (s lifeSource) Read(b []byte) (int, error) {
	switch s.w.n(8) {
	case 0:
		return 0, io.EOF
	case 1:
		return 0, errors.New("an error")
	case 2:
		<-s.end
	case 3:
		s.w.trip()
	}
	return min(len(b), 1+s.w.n(20<<10)), nil
}

func (l *life) sendFrom(c *websocket.Conn) {
	told := l.w.owe("done of SendFrom")
	err := c.SendFrom(websocket.Binary, lifeSource{l.w, c.Context().Done()}, func(error) {
		told()
		if l.closed.Load() {
			l.w.t.Error("done after Close")
		}
		l.w.enter(c, "done")
		defer l.leave()
		l.act()
	})
	if err != nil {
		told()
	}
}

func (l *life) sendWait(c *websocket.Conn) {
	told := l.w.owe("return of SendWait")
	h, limit := c.Handle(), l.w.soon()
	go func() {
		defer told()
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		h.SendWait(ctx, websocket.Binary, make([]byte, 20<<10))
	}()
}

// attachment is told of the end once, unless it is detached.
type attachment struct {
	l    *life
	told func()
}

func (a *attachment) Flushed(c *websocket.Conn) { a.l.w.other("Flushed")(c) }

func (a *attachment) Closed(c *websocket.Conn, err error) {
	a.told()
	a.l.w.other("Closed of an attachment")(c)
}

func (l *life) attach(c *websocket.Conn) {
	a := &attachment{l, l.w.owe("Closed of an attachment")}
	if c.Attach(a) != nil {
		a.told()
	}
}

func (l *life) detach(c *websocket.Conn) {
	if all := c.Attachments(); len(all) > 0 {
		a := all[l.w.n(len(all))]
		c.Detach(a)
		a.(*attachment).told()
	}
}

func (l *life) context(c *websocket.Conn) {
	told := l.w.owe("end of a context")
	ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
	context.AfterFunc(ctx, func() {
		cancel()
		told()
	})
}

func (l *life) broadcast(*websocket.Conn) {
	var all []websocket.Handle
	l.w.mu.Lock()
	for c := range l.w.lives {
		if all = append(all, c.Handle()); len(all) == 20 {
			break
		}
	}
	l.w.mu.Unlock()
	websocket.Broadcast(websocket.Prepare(websocket.Binary, make([]byte, 1000)), slices.Values(all),
		engine.SlowPolicy(l.w.n(4)))
}

// dial opens a connection of a Client, which lives as others do.
func (l *life) dial(*websocket.Conn) {
	w := l.w
	if w.dials.Add(1) > 100 {
		return
	}
	told := w.owe("opened of Dial")
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+w.n(300))*time.Millisecond)
	if err := w.client.Dial(ctx, w.eng, "ws://"+w.addresses[w.n(4)]+w.path(), func(c *websocket.Conn, err error) {
		cancel()
		told()
		if err == nil {
			l := w.enter(c, "opened")
			l.lasts.Store(true) // both ends answer pings
			l.leave()
			w.open(c)
		}
		w.trip()
	}); err != nil {
		cancel()
		told()
	}
}

func (l *life) pause(c *websocket.Conn) {
	c.EngineConn().PauseRead()
	c.AfterFunc(l.w.soon(), c.EngineConn().ResumeRead)
}

// handshake is Server.Handshake, and what Decide gets.
func (w *world) handshake(h *websocket.Handshake) {
	l := w.enter(h.Conn, "Handshake")
	defer l.leave()
	if l.opened {
		w.t.Error("Handshake behind Open")
	}
	switch w.n(12) {
	case 0:
		h.Refuse(200+w.n(300), "no\n")
	case 1, 2, 3:
		d := h.Defer()
		told := w.owe("end of a Deferred")
		context.AfterFunc(d.Context(), told)
		time.AfterFunc(w.soon(), func() {
			d.Decide(w.handshake)
			d.Decide(nil)
		})
	case 4, 5, 6:
		h.MoveTo(w.n(2))
	case 7:
		h.MoveTo(7)
	case 8:
		h.Subprotocol = "q"
	case 9:
		told := w.owe("end of a request")
		context.AfterFunc(h.Request().Context(), told)
		h.ResponseHeader().Set("X-More", "y")
	}
	if w.n(4) == 0 {
		l.act()
	}
	w.trip()
}
