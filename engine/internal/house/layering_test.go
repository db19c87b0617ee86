package house

import (
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/myriadnet/myriad"

// saved is what packages share that save the state of connections. It needs nothing but the
// standard library.
const saved = module + "/internal/saved"

// certs is what those share that count the certificates of a TLS peer. It needs no more than saved.
const certs = module + "/internal/certs"

// allowed says what the files below a folder may import besides the standard library: folders of
// this module (and what is below them) and other modules. The longest matching folder counts. An
// internal folder is for the one that it is in, and for those that name it.
var allowed = map[string][]string{
	"internal":        {},
	"engine":          {module + "/engine", saved, "golang.org/x/sys"},
	"engine/metrics":  {module + "/engine"},
	"engine/tlslayer": {module + "/engine/internal/layer", module + "/engine", saved, certs, "golang.org/x/crypto"},
	"codec":           {module + "/codec"},
	"codec/websocket": {module + "/codec", module + "/wsproto", module + "/engine", saved, certs},

	"codec/websocket/internal": {module + "/wsproto"},
	// a test only
	"codec/websocket/internal/soak": {module + "/codec", module + "/wsproto", module + "/engine"},
	// no engine
	"codec/websocket/wsconn": {module + "/wsproto", module + "/codec/websocket/internal/nethttp",
		module + "/codec/websocket/internal/meter", module + "/codec/websocket/internal/sendqueue"},
	"codec/websocket/wstest": {module + "/codec", module + "/wsproto", module + "/engine"},

	"wsproto":         {module + "/wsproto", saved},
	"wsproto/deflate": {module + "/wsproto/internal/compress", module + "/wsproto", "github.com/klauspost/compress"},
	// a package that two examples share, one of which is a module of its own
	"examples": {module + "/engine", module + "/codec", module + "/wsproto", module + "/examples/chat/internal/room"},
}

// web is what nobody should link unasked: only these folders, and what is below them, may import
// what is listed.
var (
	web      = map[string]bool{"net/http": true, "expvar": true, module + "/engine/metrics": true}
	webRules = map[string][]string{
		"engine/metrics": {"net/http", "expvar", module + "/engine/metrics"},
		// it upgrades connections of net/http, and gives it those that are none
		"codec/websocket": {"net/http"},

		"codec/websocket/internal": {"net/http"},

		"codec/websocket/internal/soak": {"net/http"},
		"codec/websocket/wsconn":        {"net/http"},
		"codec/websocket/wstest":        {"net/http"},

		"examples": {"net/http", "expvar", module + "/engine/metrics"},
	}
)

// A program that serves no TLS should not link it: the engine knows only its own layer.
const tlsFolder = "engine/tlslayer"

func rule(folder string) (string, bool) {
	for f := folder; f != "."; f = path.Dir(f) {
		if _, ok := allowed[f]; ok {
			return f, true
		}
	}
	return "", false
}

func check(file, imported string) (broken bool) {
	folder, ok := rule(path.Dir(file))
	if !ok {
		return true
	}
	if web[imported] {
		return !slices.Contains(webRules[folder], imported)
	}
	if imported == "crypto/tls" || imported == module+"/"+tlsFolder {
		if strings.HasPrefix(folder, "engine") {
			return folder != tlsFolder
		}
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") { // the standard library
		return false
	}
	for _, a := range allowed[folder] {
		if imported == a {
			return false
		}
		if strings.HasPrefix(imported, a+"/") {
			return strings.HasPrefix(imported, module) && strings.Contains(imported, "/internal/") &&
				!strings.HasPrefix(imported, module+"/"+folder+"/internal/")
		}
	}
	return true
}

func TestLayering(t *testing.T) {
	walk(t, func(folder string, files []string) {
		for _, name := range files {
			file := path.Join(folder, name)
			f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range f.Imports {
				if p := strings.Trim(i.Path.Value, `"`); check(file, p) {
					t.Errorf("%s may not import %s", file, p)
				}
			}
		}
	})
}

func TestLayeringRulesBite(t *testing.T) {
	for _, c := range []struct {
		file, imported string
		broken         bool
	}{
		{"engine/conn.go", module + "/codec", true},
		{"engine/conn.go", module + "/wsproto", true},
		{"engine/conn.go", "golang.org/x/sys/unix", false},
		{"engine/conn.go", module + "/engine/internal/wheel", false},
		{"codec/line.go", module + "/engine", true},
		{"codec/line.go", "golang.org/x/sys/unix", true},
		{"codec/websocket/conn.go", module + "/engine", false},
		{"codec/websocket/conn.go", "github.com/gobwas/ws", true},
		{"codec/websocket/conn.go", module + "/codec/websocket/internal/nethttp", false},
		{"codec/websocket/conn.go", module + "/engine/internal/wheel", true},
		{"codec/websocket/wsconn/conn.go", module + "/codec/websocket/internal/nethttp", false},
		{"codec/websocket/wsconn/conn.go", module + "/engine", true},
		{"codec/websocket/wsconn/conn.go", module + "/codec/websocket", true},
		{"codec/websocket/wstest/peer.go", module + "/codec/websocket/internal/nethttp", true},
		{"codec/websocket/wstest/peer.go", module + "/engine", false},
		{"wsproto/mask.go", "crypto/sha1", false},
		{"wsproto/mask.go", module + "/engine", true},
		{"wsproto/receiver.go", "github.com/klauspost/compress/flate", true},
		{"wsproto/deflate/deflate.go", "github.com/klauspost/compress/flate", false},
		{"engine/conn.go", module + "/examples/chat", true},
		{"stray/x.go", "fmt", true},
		{"engine/conn.go", "net/http", true},
		{"engine/internal/wheel/wheel.go", "expvar", true},
		{"engine/conn.go", module + "/engine/metrics", true},
		{"codec/websocket/conn.go", "net/http", false},
		{"codec/websocket/conn.go", "expvar", true},
		{"codec/line.go", "net/http", true},
		{"wsproto/request.go", "net/http", true},
		{"codec/websocket/conn.go", module + "/engine/metrics", true},
		{"engine/metrics/json.go", "expvar", false},
		{"engine/metrics/json.go", module + "/engine", false},
		{"engine/metrics/json.go", module + "/engine/internal/wheel", true},
		{"engine/metrics/json.go", module + "/codec", true},
		{"engine/metrics/json.go", "golang.org/x/sys/unix", true},
		{"engine/conn.go", "crypto/tls", true},
		{"engine/conn.go", module + "/engine/tlslayer", true},
		{"engine/tlslayer/keys.go", "crypto/tls", false},
		{"engine/tlslayer/keys.go", module + "/engine/internal/layer", false},
		{"engine/tlslayer/suite.go", "golang.org/x/crypto/chacha20poly1305", false},
		{"examples/dashboard/main.go", module + "/engine/metrics", false},
	} {
		if got := check(c.file, c.imported); got != c.broken {
			t.Errorf("%s importing %s: broken is %v, want %v", c.file, c.imported, got, c.broken)
		}
	}
}
