package servers

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		spec string
		want []string // of Command(80, Wanted{Broadcast: true})
		err  string
	}{
		{spec: "gnet=tcp:./echo --addr 127.0.0.1:{port}", want: []string{"./echo", "--addr", "127.0.0.1:80"}},
		{spec: `x=ws:sh  -c 'exec "a b" {port}?a=1' ""`, want: []string{"sh", "-c", `exec "a b" 80?a=1`, ""}},
		{spec: "x=ws:a {port} {broadcast} {compress}", want: []string{"a", "80", "-broadcast"}},
		{spec: "x=ws:a", err: "{port}"},
		{spec: "x=ws:a '{port}", err: "quote"},
		{spec: "x=udp:a {port}", err: "want name=ws:"},
		{spec: "=ws:a {port}", err: "want name=ws:"},
		{spec: "a/b=ws:a {port}", err: "want name=ws:"},
		{spec: "./echo {port}", err: "want name=ws:"},
	} {
		s, err := Parse(test.spec)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v, want an error with %q", test.spec, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.spec, err)
			continue
		}
		if got := s.Command(80, Wanted{Broadcast: true}); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.spec, got, test.want)
		}
		if err := s.Build("nowhere"); err != nil {
			t.Errorf("%s: Build: %v, but there is nothing to build", test.spec, err)
		}
		asked := strings.Contains(test.spec, "{compress}")
		if s.Can(Wanted{Compress: true}) != asked || s.Can(Wanted{Broadcast: true}) != asked || !s.Can(Wanted{}) {
			t.Errorf("%s: can broadcast %v, compress %v", test.spec, s.Broadcast, s.Compress)
		}
	}
}

func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range All() {
		if seen[s.Name] {
			t.Errorf("%s is in the table twice", s.Name)
		}
		seen[s.Name] = true
		if s.Source == "" || s.Tuned == "" || s.Role == "" || s.Protocol != "ws" && s.Protocol != "tcp" {
			t.Errorf("%s: %+v", s.Name, s)
		}
		if found, err := Find(s.Name); err != nil || found.Name != s.Name {
			t.Errorf("Find(%q): %v, %v", s.Name, found, err)
		}
		plain, broadcast := s.Command(1, Wanted{}), s.Command(1, Wanted{Broadcast: true})
		compress, secure := s.Command(1, Wanted{Compress: true}), s.Command(1, Wanted{TLS: true})
		if grows := len(broadcast) > len(plain); grows != (s.Broadcast && s.BroadcastPath == "") {
			t.Errorf("%s broadcasts by %q", s.Name, broadcast)
		}
		if grows := len(compress) > len(plain); grows != s.Compress {
			t.Errorf("%s compresses by %q", s.Name, compress)
		}
		if grows := len(secure) > len(plain); grows != s.TLS {
			t.Errorf("%s serves TLS by %q", s.Name, secure)
		}
	}
	if _, err := Find("apache"); err == nil || !strings.Contains(err.Error(), "gorilla") {
		t.Errorf("%v, want the names of all servers", err)
	}
}
