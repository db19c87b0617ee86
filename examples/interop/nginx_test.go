package interop

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/myriadnet/myriad/codec/websocket"
)

// nginx starts nginx in front of a site. In config, FRONT is the address that is returned, BACK
// the site's, SOCKET a unix socket of the site.
func nginx(t *testing.T, s *site, config string) (front string, master *os.Process) {
	t.Helper()
	path := program(t, "nginx")
	folder := t.TempDir()
	front, listener := inherited(t)
	defer listener.Close()
	modules := ""
	if strings.Contains(config, "stream {") {
		modules = streamModule(t)
	}
	text := modules + `
		daemon off;
		user root root; # of no meaning unless it is started by root
		worker_processes 1;
		pid nginx.pid;
		error_log stderr notice;
		events { worker_connections 200; }
		` + config
	if strings.Contains(config, "http {") {
		text = strings.Replace(text, "http {", `http {
			access_log off;
			client_max_body_size 8m;
			client_body_temp_path body;
			proxy_temp_path proxy;
			fastcgi_temp_path fastcgi;
			uwsgi_temp_path uwsgi;
			scgi_temp_path scgi;`, 1)
	}
	text = strings.NewReplacer("FRONT", front, "BACK", s.address).Replace(text)
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-e", "stderr", "-p", folder, "-c", file)
	cmd.ExtraFiles = []*os.File{listener}
	cmd.Env = append(os.Environ(), "NGINX=3;") // the sockets that it inherits
	child(t, cmd)
	return front, cmd.Process
}

// streamModule returns the line that loads the module stream: "" if nginx has it built in.
func streamModule(t *testing.T) string {
	t.Helper()
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	if _, err := os.Stat(module); err == nil {
		return "load_module " + module + ";"
	}
	about, _ := exec.Command(program(t, "nginx"), "-V").CombinedOutput()
	if !strings.Contains(string(about), "--with-stream ") {
		missing(t, "no module stream of nginx on this machine")
	}
	return ""
}

// TestNginxDefaults: proxy_pass alone speaks HTTP/1.0 and passes no upgrade on.
func TestNginxDefaults(t *testing.T) {
	s := newSite(t, nil)
	front, _ := nginx(t, s, `http { server { listen FRONT; location / { proxy_pass http://BACK; } } }`)
	checkPages(t, "http://"+front)
	resp, err := http.Get("http://" + front + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	t.Log("nginx speaks ", resp.Header.Get("X-Proto"))
	if status := refusal(t, "ws://"+front+"/", nil); status != 200 {
		t.Errorf("a handshake is a request for the page, and has status %d", status)
	}
	s.server = &websocket.Server{Refused: func(websocket.Refusal) {}}
	s.stop()
	s.start("tcp", s.address)
	if status := refusal(t, "ws://"+front+"/", nil); status != 426 {
		t.Errorf("without a Handler it has status %d", status)
	}
}

// upgradeHeaders is what nginx's documentation says about WebSocket.
const upgradeHeaders = `
	proxy_http_version 1.1;
	proxy_set_header Upgrade $http_upgrade;
	proxy_set_header Connection $connection_upgrade;
	proxy_set_header Host $http_host;`

const upgradeMap = `map $http_upgrade $connection_upgrade { default upgrade; '' ''; }`

// TestNginxUpgrades: proxy_pass with the headers of an upgrade.
func TestNginxUpgrades(t *testing.T) {
	for _, test := range []struct {
		name, config string
		reuse        bool
	}{
		{name: "map", config: `http { ` + upgradeMap + ` server { listen FRONT;
			location / { proxy_pass http://BACK; ` + upgradeHeaders + ` } } }`},
		// also for pages, as many write it
		{name: "always", config: `http { server { listen FRONT; location / { proxy_pass http://BACK;
			proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade"; } } }`},
		{name: "without buffers", config: `http { ` + upgradeMap + ` server { listen FRONT;
			location / { proxy_pass http://BACK; proxy_buffering off; proxy_request_buffering off; ` +
			upgradeHeaders + ` } } }`},
		{name: "keep-alive", reuse: true, config: `http { ` + upgradeMap + `
			upstream site { server BACK; keepalive 4; }
			server { listen FRONT; location / { proxy_pass http://site; ` + upgradeHeaders + ` } } }`},
		{name: "unix socket", config: `http { ` + upgradeMap + ` server { listen FRONT;
			location / { proxy_pass http://unix:SOCKET:/; ` + upgradeHeaders + ` } } }`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, &websocket.Compression{ServerTakeover: true, ClientTakeover: true})
			if strings.Contains(test.config, "SOCKET") {
				s.stop()
				s.start("unix", filepath.Join(t.TempDir(), "socket"))
			}
			front, _ := nginx(t, s, strings.ReplaceAll(test.config, "SOCKET", s.address))
			checkPages(t, "http://"+front)
			checkWebSockets(t, "ws://"+front+"/")
			checkLeaving(t, s, "ws://"+front+"/")
			if status := refusal(t, "ws://"+front+"/", http.Header{"Origin": {"http://evil.example"}}); status != 403 {
				t.Errorf("a page of others: status %d", status)
			}
			if test.reuse {
				checkReuse(t, front)
			}
			if !strings.Contains(test.config, "SOCKET") {
				checkRestart(t, s, front)
			}
		})
	}
}

// TestNginxStream: nginx passes bytes on.
func TestNginxStream(t *testing.T) {
	s := newSite(t, &websocket.Compression{ServerTakeover: true, ClientTakeover: true})
	for _, half := range []bool{false, true} {
		t.Run("half-close "+strconv.FormatBool(half), func(t *testing.T) {
			more := map[bool]string{true: "proxy_half_close on;"}[half]
			front, _ := nginx(t, s, `stream { server { listen FRONT; proxy_pass BACK; `+more+` } }`)
			checkPages(t, "http://"+front)
			checkWebSockets(t, "ws://"+front+"/")
			checkLeaving(t, s, "ws://"+front+"/")
			checkReuseByClient(t, front)
			checkRestart(t, s, front)
		})
	}
}

// TestNginxEndsTLS: what nginx encrypts is plain for the site. A page of the same host has the
// Origin https.
func TestNginxEndsTLS(t *testing.T) {
	own, file := certificate(t)
	s := newSite(t, nil)
	front, _ := nginx(t, s, `http { `+upgradeMap+` server { listen FRONT ssl;
		ssl_certificate `+file+`; ssl_certificate_key `+file+`;
		location / { proxy_pass http://BACK; `+upgradeHeaders+` } } }`)
	talk(t, dialTLS(t, own, front))
	peerOf(t, own, "https://"+front+"/")
}

// TestNginxReloads: WebSockets outlive it, and keep on.
func TestNginxReloads(t *testing.T) {
	s := newSite(t, nil)
	front, master := nginx(t, s, `http { `+upgradeMap+` upstream site { server BACK; keepalive 4; }
		server { listen FRONT; location / { proxy_pass http://site; `+upgradeHeaders+` } } }`)
	worker := func() string { // by its address
		return peerOf(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, "http://"+front+"/")
	}
	before, c := worker(), dialGorilla(false)(t, "ws://"+front+"/")
	if err := c.ping(); err != nil {
		t.Fatal(err)
	}
	master.Signal(syscall.SIGHUP)
	eventually(t, "a new worker", func() bool { return worker() != before })
	talk(t, c)
	talk(t, dialGorilla(false)(t, "ws://"+front+"/"))
	checkPages(t, "http://"+front)
}
