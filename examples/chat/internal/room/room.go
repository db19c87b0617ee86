// Package room is a chat room: a web page, and the WebSocket that it opens. The room is a topic of
// a Hub, so that it is in one process, or in as many as a Broker connects.
package room

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/codec/websocket/topic/wire"
)

const (
	lobby      = "lobby" // the topic
	minSecret  = 16      // bytes
	maxSecret  = 64      // bytes
	maxKey     = 64      // bytes
	maxName    = 24      // characters
	maxText    = 2000    // characters
	maxHistory = 100     // messages
)

//go:embed index.html
var page []byte

// New serves a chat room at /ws, its page at /, and a health check at /healthz. The room is a topic
// of the Hub, which New prepares: a Hub without a Broker is in this process only.
func New(hub *topic.Hub) *websocket.Mux {
	hub.Authorize = allow
	hub.Options = func(string) topic.Options {
		return topic.Options{History: maxHistory, HistoryAge: time.Hour, Presence: true}
	}
	topics := &wire.Endpoint{Hub: hub, Member: member, Publish: say}
	server := &websocket.Server{
		Handshake:    enter,
		Subprotocols: topics.Subprotocols(),
		Message:      topics.Message,
		Limits:       websocket.Limits{MaxMessage: 32 << 10},
		// What one says goes to all, so who says too much has to wait. A page that comes back
		// subscribes and sends what it has kept.
		Rate: &websocket.Rate{Messages: 5, Burst: 50, Bytes: 16 << 10, BurstBytes: 128 << 10},
		Handover: &websocket.Handover{
			Save: save, Load: load,
			Movers: map[string]websocket.Mover{"topics": topics},
		},
	}
	return &websocket.Mux{
		Servers: map[string]*websocket.Server{"/ws": server},
		Handler: pages(),
	}
}

// pages handles all requests but the handshakes at /ws.
func pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /topics.js", wire.ServeScript)
	mux.HandleFunc("GET /id", tellID)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	return mux
}

// person is who a connection belongs to. A page that connects again is the same person.
type person struct{ id, name string }

// idOf returns the id of the person who has a secret. Everybody sees the id, and nobody can make
// the secret of it: so nobody can come as somebody else.
func idOf(secret string) string {
	sum := sha256.Sum256([]byte("chat: " + secret))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// tellID tells a page its id.
func tellID(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	io.WriteString(w, idOf(r.URL.Query().Get("secret")))
}

// enter takes the person from the request: a page makes up its secret when it is opened first. The
// name is not checked: two may have the same. A program with accounts asks for a session.
func enter(h *websocket.Handshake) {
	query := h.Request().URL.Query()
	secret := query.Get("secret")
	if len(secret) < minSecret || len(secret) > maxSecret {
		h.Refuse(http.StatusBadRequest, "A secret has 16 to 64 bytes.")
		return
	}
	who := person{id: idOf(secret), name: clean(query.Get("name"))}
	if who.name == "" || utf8.RuneCountInString(who.name) > maxName {
		h.Refuse(http.StatusBadRequest, "A name has 1 to 24 characters.")
		return
	}
	h.Conn.Value = who
}

// save and load move a person to the process that takes over.
func save(c *websocket.Conn, dst []byte) ([]byte, error) {
	who := c.Value.(person)
	return append(append(append(dst, byte(len(who.id))), who.id...), who.name...), nil
}

func load(c *websocket.Conn, state []byte) error {
	if len(state) == 0 || len(state) <= int(state[0]) {
		return errors.New("a person without an id")
	}
	id, name := state[1:1+state[0]], state[1+state[0]:]
	c.Value = person{id: string(id), name: string(name)}
	return nil
}

func allow(_ *websocket.Conn, name string) error {
	if name != lobby {
		return &wire.Error{Code: wire.CodeForbidden, Text: "There is only the lobby."}
	}
	return nil
}

func member(c *websocket.Conn, _ string) *topic.Member {
	who := c.Value.(person)
	return &topic.Member{ID: who.id, Info: []byte(who.name)}
}

// message is what a page publishes, and what all pages get: with who has said it, and when.
type message struct {
	Key  string `json:"key"` // of the page's choice, to know its messages by
	Text string `json:"text"`
	ID   string `json:"id"`
	Name string `json:"name"`
	Time int64  `json:"time"` // Unix time in milliseconds
}

func say(c *websocket.Conn, name string, op websocket.Opcode, data []byte) ([]byte, error) {
	if err := allow(c, name); err != nil {
		return nil, err
	}
	var m message
	if op != websocket.Text || json.Unmarshal(data, &m) != nil {
		return nil, &wire.Error{Code: 400, Text: "A message is JSON."}
	}
	m.Text = strings.TrimSpace(m.Text)
	if m.Text == "" || utf8.RuneCountInString(m.Text) > maxText || len(m.Key) > maxKey {
		return nil, &wire.Error{Code: wire.CodeTooLarge, Text: "A message has 1 to 2000 characters."}
	}
	who := c.Value.(person)
	m.ID, m.Name, m.Time = who.id, who.name, time.Now().UnixMilli()
	return json.Marshal(m)
}

// clean returns a name without invisible characters, with single spaces.
func clean(name string) string {
	visible := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	return strings.Join(strings.Fields(visible), " ")
}
