package interop

import (
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
)

// deflates are ours.
func deflates() map[string]*websocket.Compression {
	return map[string]*websocket.Compression{
		"plain": nil, "deflate": {}, "deflate takeover": {ServerTakeover: true, ClientTakeover: true, Threshold: 1},
	}
}

// TestNodeClients: clients of ws and undici, with servers that compress and that do not.
func TestNodeClients(t *testing.T) {
	ws, undici := startRemote(t, node(t, "ws-client.js")), startRemote(t, node(t, "undici-client.js"))
	for ours, compression := range deflates() {
		url, compress := "ws://"+newSite(t, compression).address+"/", compression != nil
		for name, test := range map[string]struct {
			dial  func(*testing.T, string) client
			codes []int
		}{
			"ws": {ws.dial(map[string]any{"perMessageDeflate": false}, false), anyCode},
			"ws deflate": {ws.dial(map[string]any{"perMessageDeflate": map[string]any{"threshold": 0}}, compress),
				anyCode},
			"ws deflate without takeover": {ws.dial(map[string]any{"perMessageDeflate": map[string]any{"threshold": 0,
				"clientNoContextTakeover": true, "serverNoContextTakeover": true}}, compress), anyCode},
			// it always offers compression, and may send only these codes
			"undici": {undici.dial(nil, compress), []int{1000, 3000, 4999}},
		} {
			t.Run(name+" with a server that is "+ours, func(t *testing.T) {
				checkRemoteClient(t, test.dial, url, test.codes)
			})
		}
	}
}

// TestNodeServers: servers of ws, with our clients.
func TestNodeServers(t *testing.T) {
	for name, options := range map[string]string{
		"plain": `{}`, "deflate": `{"perMessageDeflate": {"threshold": 0}}`,
		"deflate without takeover": `{"perMessageDeflate": {"threshold": 0, "serverNoContextTakeover": true,
			"clientNoContextTakeover": true}}`,
	} {
		t.Run(name, func(t *testing.T) {
			checkRemoteServer(t, "ws://"+remoteServer(t, node(t, "ws-server.js", options))+"/", anyCode)
		})
	}
}

// TestNodePages: pages for undici, which pipelines, and a page and a WebSocket on one connection of
// node's http and ws; straight and through proxies.
func TestNodePages(t *testing.T) {
	for name, front := range map[string]func(*testing.T, *site) string{
		"straight": func(_ *testing.T, s *site) string { return s.address },
		"nginx stream": func(t *testing.T, s *site) string {
			front, _ := nginx(t, s, `stream { server { listen FRONT; proxy_pass BACK; } }`)
			return front
		},
		"HAProxy tcp": func(t *testing.T, s *site) string {
			front, _, _ := haproxy(t, s, "mode tcp\noption httpchk\nserver a SITE")
			return front
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			out, err := finish(t, node(t, "http-client.js", "http://"+front(t, s)))
			if out != "done\n" || err != nil {
				t.Errorf("%s%v", out, err)
			}
		})
	}
}
