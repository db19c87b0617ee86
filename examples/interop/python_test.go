package interop

import "testing"

// pythonCodes are those that its package websockets lets through.
var pythonCodes = []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 4999}

// TestPythonClients: clients of python3-websockets, with servers that compress and that do not.
func TestPythonClients(t *testing.T) {
	python := startRemote(t, websockets(t, "client.py"))
	for ours, compression := range deflates() {
		url := "ws://" + newSite(t, compression).address + "/"
		for name, dial := range map[string]func(*testing.T, string) client{
			"plain":   python.dial(map[string]any{"compression": nil}, false),
			"deflate": python.dial(map[string]any{"compression": "deflate"}, compression != nil),
		} {
			t.Run(name+" with a server that is "+ours, func(t *testing.T) {
				checkRemoteClient(t, dial, url, pythonCodes)
			})
		}
	}
}

// TestPythonServers: servers of python3-websockets, with our clients.
func TestPythonServers(t *testing.T) {
	for name, args := range map[string][]string{"plain": nil, "deflate": {"deflate"}} {
		t.Run(name, func(t *testing.T) {
			checkRemoteServer(t, "ws://"+remoteServer(t, websockets(t, "server.py", args...))+"/", pythonCodes)
		})
	}
}
