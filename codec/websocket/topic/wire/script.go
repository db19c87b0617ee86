package wire

import (
	"embed"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

//go:embed script/*.js
var modules embed.FS

var script = bundle("topics", "outbox", "subscription", "encoding")

var (
	importLine   = regexp.MustCompile(`(?m)^import .* from "\./.*";\n`)
	exportedFrom = regexp.MustCompile(`(?m)^(export \{.*\}) from "\./.*";$`)
	exportedHere = regexp.MustCompile(`(?m)^export `)
)

// bundle makes one module of several, which import what they need of each other by its own name. It
// exports what the first one does.
func bundle(names ...string) string {
	var all strings.Builder
	for i, name := range names {
		b, err := modules.ReadFile("script/" + name + ".js")
		if err != nil {
			panic(err)
		}
		text := importLine.ReplaceAllString(string(b), "")
		if i == 0 {
			text = exportedFrom.ReplaceAllString(text, "$1;")
		} else {
			text = "\n" + exportedHere.ReplaceAllString(text, "")
		}
		all.WriteString(text)
	}
	return all.String()
}

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
