package interop

import (
	"encoding/csv"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// haproxy starts HAProxy in front of a site, and waits until a check has found the site. backend is
// what its part "listen" has, where SITE is the site's address, and BIND may stand for where it
// listens, with options behind it.
func haproxy(t *testing.T, s *site, backend string) (front, stats string, process *os.Process) {
	t.Helper()
	path := program(t, "haproxy")
	folder := t.TempDir()
	front, listener := inherited(t)
	defer listener.Close()
	stats = filepath.Join(folder, "stats")
	bind := "bind fd@3"
	if strings.Contains(backend, "BIND") {
		bind = ""
	}
	text := `
global
	stats socket ` + stats + ` level admin
	maxconn 200
	nbthread 1
defaults
	timeout connect 5s
	timeout check 30s
	timeout client 1m
	timeout server 1m
listen site
	` + bind + `
	default-server check inter 1s downinter 50ms rise 1 fall 1
` + strings.NewReplacer("SITE", s.address, "BIND", "bind fd@3").Replace(backend) + "\n"
	file := filepath.Join(folder, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-db", "-f", file)
	cmd.ExtraFiles = []*os.File{listener}
	child(t, cmd)
	eventually(t, "a check finds the site", func() bool { return checked(stats)["status"] == "UP" })
	return front, stats, cmd.Process
}

// checked is what HAProxy says of the site: "status" is "UP" or "DOWN" once it was checked,
// "check_status" is how: "L7OK".
func checked(stats string) map[string]string {
	nc, err := net.Dial("unix", stats)
	if err != nil {
		return nil
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(patience))
	io.WriteString(nc, "show stat site 4 -1\n")
	rows, err := csv.NewReader(nc).ReadAll()
	if err != nil || len(rows) < 2 {
		return nil
	}
	about := make(map[string]string)
	for i, name := range rows[0] {
		about[name] = rows[1][i]
	}
	if about["check_status"] == "INI" || strings.HasPrefix(about["check_status"], "*") {
		return nil
	}
	return about
}

// TestHAProxy in both modes, with checks of several kinds.
func TestHAProxy(t *testing.T) {
	for _, test := range []struct {
		name, backend string
		check         string // how it was checked
		http10        bool   // it checks by OPTIONS in HTTP/1.0
		reuse         bool
	}{
		{name: "http", check: "L7OK", http10: true, backend: "mode http\noption httpchk\nserver a SITE"},
		{name: "http checks in 1.1", check: "L7OK", backend: `mode http
			option httpchk
			http-check send meth GET uri /health ver HTTP/1.1 hdr Host site
			http-check expect status 204
			server a SITE`},
		{name: "http reuses connections", reuse: true, check: "L7OK", backend: `mode http
			option httpchk GET /health
			http-reuse always
			server a SITE pool-max-conn 10`},
		{name: "http closes connections", check: "L7OK", backend: `mode http
			option httpchk HEAD /
			option httpclose
			server a SITE`},
		{name: "tcp", check: "L7OK", http10: true, backend: "mode tcp\noption httpchk\nserver a SITE"},
		// connects, and resets the connection
		{name: "tcp checks by a connection", check: "L4OK", backend: "mode tcp\nserver a SITE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSite(t, &websocket.Compression{ServerTakeover: true, ClientTakeover: true})
			front, stats, _ := haproxy(t, s, test.backend)
			checkPages(t, "http://"+front)
			checkWebSockets(t, "ws://"+front+"/")
			checkLeaving(t, s, "ws://"+front+"/")
			if status := refusal(t, "ws://"+front+"/", http.Header{"Origin": {"http://evil.example"}}); status != 403 {
				t.Errorf("a page of others: status %d", status)
			}
			if test.reuse {
				checkReuse(t, front)
			}
			if got := checked(stats)["check_status"]; got != test.check {
				t.Errorf("the check says %q, want %q", got, test.check)
			}
			if test.http10 && s.options.Load() == 0 {
				t.Error("no check in HTTP/1.0")
			}
			if n := s.refused.Load(); n != 1 {
				t.Errorf("%d refused handshakes: checks are none", n)
			}
			checkRestart(t, s, front)
			s.stop()
			eventually(t, "the check misses the site", func() bool { return checked(stats)["status"] == "DOWN" })
			s.start("tcp", s.address)
			eventually(t, "the check finds it again", func() bool { return checked(stats)["status"] == "UP" })
		})
	}
}

// TestHAProxyFrozen: HAProxy stands still, as one whose machine is gone. The site notices it by a
// ping without a pong; behind a live HAProxy a client that only answers pings stays.
func TestHAProxyFrozen(t *testing.T) {
	s := newSite(t, nil)
	s.stop()
	s.server = &websocket.Server{Message: answer, Close: s.ended,
		Limits: websocket.Limits{IdleTimeout: 100 * time.Millisecond, PongTimeout: 200 * time.Millisecond}}
	s.start("tcp", s.address)
	front, _, process := haproxy(t, s, "mode http\nserver a SITE")
	c := dialGorilla(false)(t, "ws://"+front+"/").(gorillaClient)
	pings := make(chan bool, 100)
	answers := c.PingHandler()
	c.SetPingHandler(func(data string) error {
		pings <- true
		return answers(data)
	})
	c.send(true, []byte(doName+"frozen"))
	last := make(chan error, 1)
	go func() {
		for {
			if _, _, err := c.receive(); err != nil {
				last <- err
				return
			}
		}
	}()
	for range 5 {
		select {
		case <-pings:
		case err := <-last:
			t.Fatal(err)
		case <-time.After(patience):
			t.Fatal("no ping")
		}
	}
	process.Signal(syscall.SIGSTOP)
	defer process.Signal(syscall.SIGCONT)
	select {
	case end := <-s.closed:
		if !errors.Is(end.err, engine.ErrIdleTimeout) && !errors.Is(end.err, engine.ErrReset) {
			t.Errorf("the site: %v", end.err)
		}
	case <-time.After(patience):
		t.Fatal("the site never notices")
	}
	process.Signal(syscall.SIGCONT)
	if err := <-last; closeCode(err) != 1001 && closeCode(err) != 1006 {
		t.Errorf("the client: %v", err)
	}
	if err := dialGorilla(false)(t, "ws://"+front+"/").ping(); err != nil {
		t.Errorf("behind it: %v", err)
	}
}
