package wsconn_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/wsconn"
	"github.com/myriadnet/myriad/codec/websocket/wstest"
	"github.com/myriadnet/myriad/wsproto"
)

// wrapper is middleware's ResponseWriter.
type wrapper struct{ http.ResponseWriter }

func (w wrapper) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestUpgradeBehindMiddleware: through a router and a wrapped ResponseWriter, with fields of the
// response, with deadlines of the http.Server, and with frames that came together with the request.
func TestUpgradeBehindMiddleware(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /rooms/{room}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := wsconn.Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		time.AfterFunc(200*time.Millisecond, func() { // beyond the deadlines of the server
			c.Write(deadline(t), wsconn.Text, []byte("room "+r.PathValue("room")))
		})
		echo(deadline(t), c)
	}))
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Type", "text/html")
		mux.ServeHTTP(wrapper{wrapper{w}}, r)
	}))
	s.Config.ReadTimeout, s.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	s.Start()
	defer s.Close()
	p := wstest.DialRaw(t, s.Listener.Addr().String())
	b := []byte(request("GET /rooms/7 HTTP/1.1"))
	b = wstest.Frame{Opcode: wsproto.Text, Payload: "early"}.Append(b, wsproto.Client)
	late := wstest.Frame{Opcode: wsproto.Text, Payload: "split"}.Append(nil, wsproto.Client)
	p.SendRaw(append(b, late[:5]...))
	r, _ := p.ExpectResponse(101)
	if r.Header.Get("Set-Cookie") != "a=b" || r.Header.Get("Content-Type") != "" {
		t.Errorf("response with %v", r.Header)
	}
	p.Expect(wsproto.Text, "early")
	p.SendRaw(late[5:])
	p.Expect(wsproto.Text, "split")
	p.Expect(wsproto.Text, "room 7")
	p.Close(1000, "")
}

// TestUpgradeWithoutConnection: a ResponseWriter that leads to no connection is answered with 501,
// a header that must not be sent with 500, before anything is taken over.
func TestUpgradeWithoutConnection(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	for _, f := range []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="} {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	if _, err := wsconn.Upgrade(w, r, nil); err == nil || w.Code != 501 {
		t.Errorf("status %d, %v", w.Code, err)
	}
	w = httptest.NewRecorder()
	w.Header().Set("X", "a\r\nY: b")
	if _, err := wsconn.Upgrade(w, r, nil); err == nil || w.Code != 500 {
		t.Errorf("status %d, %v", w.Code, err)
	}
	r.ProtoMajor, r.ProtoMinor, r.TLS = 2, 0, new(tls.ConnectionState)
	w = httptest.NewRecorder()
	if _, err := wsconn.Upgrade(w, r, nil); err == nil || w.Code != 505 {
		t.Errorf("HTTP/2: status %d, %v", w.Code, err)
	}
}

// TestWindowsAreBounded: connections above the budget for windows get no context takeover, and
// those that end make room.
func TestWindowsAreBounded(t *testing.T) {
	config := &wsconn.Config{
		Compression: &wsconn.Compression{ServerTakeover: true, ClientTakeover: true, MaxWindows: 2 << 15},
	}
	takes := func() bool {
		c, p := wstest.Server(t, config)
		defer func() {
			p.CloseNow()
			c.Read(deadline(t))
		}()
		if p.Deflate == nil {
			t.Fatal("no compression")
		}
		return !p.Deflate.ServerNoContextTakeover
	}
	for range 3 { // one after the other
		if !takes() {
			t.Error("no context takeover")
		}
	}
	wstest.Server(t, config)
	if takes() {
		t.Error("one too many has context takeover")
	}
}
