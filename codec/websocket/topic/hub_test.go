package topic_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// lines is a Format that tells everything in text, without epochs.
type lines struct{}

func (lines) Opcode() websocket.Opcode { return websocket.Text }

func (lines) Message(dst []byte, name string, m *topic.Message) []byte {
	if string(m.Data) == "panic" {
		panic("a message that cannot be formatted")
	}
	return fmt.Appendf(dst, "%s %d<%d %s", name, m.Prev, m.Seq, m.Data)
}

func (lines) Subscribed(dst []byte, name string, at topic.Position) []byte {
	return fmt.Appendf(dst, "%s from %d", name, at.Seq)
}

func (lines) Gap(dst []byte, name string, g topic.Gap) []byte {
	return fmt.Appendf(dst, "%s gap %d-%d", name, g.After.Seq, g.Next.Seq)
}

func (lines) Present(dst []byte, name string, joined, left []topic.Member) []byte {
	for _, m := range joined {
		dst = fmt.Appendf(dst, "%s +%s(%s)", name, m.ID, m.Info)
	}
	for _, m := range left {
		dst = fmt.Appendf(dst, "%s -%s", name, m.ID)
	}
	return dst
}

// commands is a server whose clients say what to do: "sub NAME", "from EPOCH SEQ NAME", "as ID
// NAME", "unsub NAME", "pub NAME DATA", "subs". It answers with "ok", or the error.
func commands(h *topic.Hub) *websocket.Server {
	return &websocket.Server{Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		words := strings.SplitN(string(data), " ", 4)
		var err error
		switch words[0] {
		case "sub":
			err = h.Subscribe(c, words[1])
		case "from":
			sc := topic.SubscribeConfig{Recover: true}
			fmt.Sscan(words[1], &sc.After.Epoch)
			fmt.Sscan(words[2], &sc.After.Seq)
			err = sc.Subscribe(h, c, words[3])
		case "as":
			member := topic.Member{ID: words[1], Info: []byte("info")}
			err = topic.SubscribeConfig{Member: &member}.Subscribe(h, c, words[2])
		case "unsub":
			if !h.Unsubscribe(c, words[1]) {
				err = errors.New("no such subscription")
			}
		case "pub":
			err = h.Publish(words[1], op, []byte(strings.Join(words[2:], " ")))
		case "subs":
			var all []string
			h.Subscriptions(c, func(name string, at topic.Position) {
				all = append(all, fmt.Sprintf("%s@%d", name, at.Seq))
			})
			c.SendText(strings.Join(all, " "))
		}
		if err != nil {
			c.SendText(err.Error())
		} else {
			c.SendText("ok")
		}
	}}
}

// script sends each line after "> " and expects the others.
func script(t *testing.T, p *wstest.Peer, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if said, ok := strings.CutPrefix(line, "> "); ok {
			p.Send(wsproto.Text, said)
		} else if line != "" {
			p.Expect(wsproto.Text, line)
		}
	}
}

func TestPublish(t *testing.T) {
	var h topic.Hub
	h.Format = lines{}
	url := wstest.Serve(t, commands(&h))
	a, b := wstest.Dial(t, url, nil), wstest.Dial(t, url, nil)
	script(t, a, `
		> sub room
		ok
		room from 0
		> sub room
		`+topic.ErrSubscribed.Error())
	script(t, b, `
		> pub room one
		ok
		> sub room
		room from 1
		ok
		> pub room two
		ok
		room 1<2 two`)
	script(t, a, `
		room 0<1 one
		room 1<2 two
		> subs
		room@2
		ok
		> unsub room
		ok
		> unsub room
		no such subscription`)
	if s := h.Stats(); s.Delivered != 3 || s.Published != 2 || s.Subscriptions != 1 || s.Topics != 1 || s.Pending != 0 {
		t.Errorf("%+v", s)
	}
}

func TestZeroHub(t *testing.T) {
	var h topic.Hub
	url := wstest.Serve(t, &websocket.Server{
		Open: func(c *websocket.Conn) { h.Subscribe(c, "all") },
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			if err := h.Publish("all", op, data); err != nil {
				t.Error(err)
			}
		},
	})
	a, b := wstest.Dial(t, url, nil), wstest.Dial(t, url, nil)
	b.Send(wsproto.Binary, "x")
	b.Expect(wsproto.Binary, "x")
	a.Expect(wsproto.Binary, "x")
	a.Send(wsproto.Text, "")
	a.Expect(wsproto.Text, "")
	b.Expect(wsproto.Text, "")
}

func TestRecover(t *testing.T) {
	h := topic.Hub{Format: lines{}, Options: func(name string) topic.Options {
		switch name {
		case "history":
			return topic.Options{History: 3}
		case "last":
			return topic.Options{Last: true}
		case "conflated":
			return topic.Options{Conflate: true, Last: true}
		}
		return topic.Options{}
	}}
	url := wstest.Serve(t, commands(&h))
	a, b := wstest.Dial(t, url, nil), wstest.Dial(t, url, nil)
	script(t, a, `
		> sub history
		ok
		history from 0
		> pub history 1
		ok
		history 0<1 1
		> pub history 2
		ok
		history 1<2 2
		> pub last 1
		ok
		> sub last
		ok
		last from 0
		last 0<1 1
		> sub none
		ok
		none from 0
		> pub none 1
		ok
		none 0<1 1`)
	epochs := map[string]uint64{}
	for _, name := range []string{"history", "none"} {
		epochs[name] = epochOf(t, &h, name)
	}
	names := strings.NewReplacer("HISTORY", fmt.Sprint(epochs["history"]), "NONE", fmt.Sprint(epochs["none"]))
	script(t, b, names.Replace(`
		> from HISTORY 1 history
		history from 1
		ok
		history 1<2 2
		> pub history 3
		ok
		history 2<3 3
		> unsub history
		ok
		> pub history 4
		ok
		> pub history 5
		ok
		> from HISTORY 1 history
		history from 1
		ok
		history gap 1-3
		history 2<3 3
		history 3<4 4
		history 4<5 5
		> unsub history
		ok
		> from HISTORY 5 history
		history from 5
		ok
		> unsub history
		ok
		> from 17 5 history
		history from 5
		ok
		history gap 5-3
		history 2<3 3
		history 3<4 4
		history 4<5 5
		> from NONE 1 none
		none from 1
		ok
		> unsub none
		ok
		> from NONE 0 none
		none from 0
		none gap 0-0
		ok
		> sub last
		last from 0
		last 0<1 1
		ok`))
}

// epochOf returns the epoch of a topic.
func epochOf(t *testing.T, h *topic.Hub, name string) uint64 {
	t.Helper()
	epoch := make(chan uint64, 1)
	url := wstest.Serve(t, &websocket.Server{Open: func(c *websocket.Conn) {
		h.Subscribe(c, name)
		c.AfterFunc(1, func() {
			h.Subscriptions(c, func(_ string, at topic.Position) { epoch <- at.Epoch })
		})
	}})
	wstest.Dial(t, url, nil)
	return <-epoch
}

func TestPresence(t *testing.T) {
	h := topic.Hub{Format: lines{}, Options: func(string) topic.Options { return topic.Options{Presence: true} }}
	url := wstest.Serve(t, commands(&h))
	a, b, c := wstest.Dial(t, url, nil), wstest.Dial(t, url, nil), wstest.Dial(t, url, nil)
	script(t, a, `
		> as ann room
		ok
		room from 0
		room +ann(info)`)
	script(t, b, `
		> as bob room
		room from 0
		ok
		room +bob(info)`)
	script(t, c, `
		> as bob room
		room from 0
		ok`)
	script(t, a, `room +bob(info)`)
	members := make(chan []topic.Member, 1)
	h.Members("room", func(m []topic.Member, err error) { members <- m })
	if m := <-members; len(m) != 2 || m[0].ID != "ann" || string(m[1].Info) != "info" {
		t.Errorf("%+v", m)
	}
	b.CloseNow()
	script(t, c, `
		> unsub room
		ok`)
	script(t, a, `room -bob`)
}

func TestErrors(t *testing.T) {
	h := topic.Hub{MaxTopics: 2, MaxTopicsPerConn: 3, MaxName: 4,
		Options: func(string) topic.Options { return topic.Options{History: 1} },
		Authorize: func(_ *websocket.Conn, name string) error {
			if name == "no" {
				return errors.New("forbidden")
			}
			return nil
		}}
	p := wstest.Dial(t, wstest.Serve(t, commands(&h)), nil)
	script(t, p, `
		> sub no
		forbidden`)
	script(t, p, strings.NewReplacer("NAME", topic.ErrName.Error(), "MANY", topic.ErrTooMany.Error()).Replace(`
		> sub abcde
		NAME
		> pub abcde x
		NAME
		> sub a
		ok
		> sub b
		ok
		> sub c
		MANY
		> pub d x
		MANY
		> unsub b
		ok`))
	if err := h.Publish("\xff", websocket.Text, nil); err != topic.ErrName {
		t.Error(err)
	}
	if err := h.Publish("a", wsproto.Ping, nil); err == nil {
		t.Error("a ping was published")
	}
	h.Close()
	if err := h.Publish("a", websocket.Text, nil); err != topic.ErrClosed {
		t.Error(err)
	}
}
