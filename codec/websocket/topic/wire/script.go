package wire

import (
	_ "embed"
	"net/http"
	"strconv"
)

//go:embed topics.js
var script string

// ServeScript serves the client, an ES module. It is for the page that opens the WebSocket:
//
//	mux.HandleFunc("GET /topics.js", wire.ServeScript)
func ServeScript(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(script)))
	h.Set("Cache-Control", "no-cache")
	if r.Method != http.MethodHead {
		w.Write([]byte(script))
	}
}
