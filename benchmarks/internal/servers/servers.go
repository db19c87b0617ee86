// Package servers has a table of the servers that are measured: how they are built, started and
// tuned, and what they support.
package servers

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Role is why a server is measured.
type Role string

const (
	Floor Role = "floor" // as fast as possible: other servers' figures are ratios to it
	Ours  Role = "ours"
	Peer  Role = "peer"
)

// Server is a server that can be measured.
type Server struct {
	Name     string // in flags, reports and file names
	Protocol string // "ws" or "tcp"
	Role     Role
	Source   string // import path or file
	Version  string // of the library in the binary; set by Build
	Tuned    string // how the server is tuned, in a sentence or two

	Broadcast bool // the server can send messages to all connections
	Compress  bool // the server can compress messages
	TLS       bool // the server can serve TLS
	NoEmpty   bool // the library does not deliver messages of 0 bytes
	// MinConns is the least number of connections from which on the server differs from another one
	// of the table. Below it is not measured.
	MinConns int
	// BroadcastPath is the path of connections whose messages go to all. If it is "", a server that
	// is started for a broadcast sends all messages to all.
	BroadcastPath string

	forBroadcast *Server // is started for a broadcast instead of this one, if not nil
	forTLS       *Server // the same, for TLS

	binary  string   // absolute path; set by Build
	cert    string   // PEM file with a certificate and its key; set by Build if TLS is set
	builder builder  // nil: there is nothing to build
	argv    []string // with placeholders: see Command
}

// Endings of words in argv that are optional.
const (
	ifBroadcast = "?broadcast"
	ifCompress  = "?compress"
	ifTLS       = "?tls"
)

// Wanted is what a row asks of a server besides an echo.
type Wanted struct{ Broadcast, Compress, TLS bool }

// Command returns the command line that starts the server on a port of 127.0.0.1. Build must have
// been called, and the server must support what is asked for.
func (s *Server) Command(port int, w Wanted) []string {
	switch {
	case w.Broadcast && s.forBroadcast != nil:
		return s.forBroadcast.Command(port, w)
	case w.TLS && s.forTLS != nil:
		return s.forTLS.Command(port, w)
	}
	replacer := strings.NewReplacer("{bin}", s.binary, "{port}", strconv.Itoa(port), "{cert}", s.cert)
	endings := []struct {
		text   string
		wanted bool
	}{{ifBroadcast, w.Broadcast}, {ifCompress, w.Compress}, {ifTLS, w.TLS}}
	var argv []string
	for _, arg := range s.argv {
		wanted := true
		for _, e := range endings {
			if word, found := strings.CutSuffix(arg, e.text); found {
				arg, wanted = word, e.wanted
			}
		}
		if wanted {
			argv = append(argv, replacer.Replace(arg))
		}
	}
	return argv
}

// Can reports whether the server supports what is asked for.
func (s *Server) Can(w Wanted) bool {
	return (s.Broadcast || !w.Broadcast) && (s.Compress || !w.Compress) && (s.TLS || !w.TLS)
}

// All returns all servers. The caller may change them.
func All() []*Server {
	var list []*Server
	for _, s := range table {
		if s.forBroadcast != nil {
			other := *s.forBroadcast
			s.forBroadcast = &other
		}
		if s.forTLS != nil {
			other := *s.forTLS
			s.forTLS = &other
		}
		list = append(list, &s)
	}
	return list
}

// WSServer returns benchmarks/wsserver, which has the flag -metrics. It is not one of All, but it
// is started for the broadcasts of the server "myriad".
func WSServer() *Server {
	s := wsserver
	return &s
}

// Find returns the server with a name.
func Find(name string) (*Server, error) {
	var names []string
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("unknown server %q: want one of %s", name, strings.Join(names, ", "))
}

// Parse makes a server from a flag's value, name=ws:command or name=tcp:command. The command
// consists of words, which are quoted by ' or " if they have spaces, and must contain {port}. A
// word {broadcast} says that the server supports it; it becomes -broadcast or is left out. The same
// holds for {compress}. Relative paths start at the working directory.
func Parse(spec string) (*Server, error) {
	name, rest, _ := strings.Cut(spec, "=")
	protocol, command, _ := strings.Cut(rest, ":")
	if name == "" || strings.ContainsAny(name, "/\\ ") || protocol != "ws" && protocol != "tcp" {
		return nil, fmt.Errorf("server %q: want name=ws:command or name=tcp:command", spec)
	}
	if !strings.Contains(command, "{port}") {
		return nil, fmt.Errorf("server %q: its command has no {port}", spec)
	}
	argv, err := words(command)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", spec, err)
	}
	s := &Server{Name: name, Protocol: protocol, Role: Peer, Source: command, argv: argv}
	s.Tuned = "As its command line says."
	for i, arg := range argv {
		switch arg {
		case "{broadcast}":
			s.Broadcast, argv[i] = true, "-broadcast"+ifBroadcast
		case "{compress}":
			s.Compress, argv[i] = true, "-compress"+ifCompress
		}
	}
	return s, nil
}

// words splits a command at unquoted spaces.
func words(command string) (list []string, err error) {
	var word strings.Builder
	var quote rune
	begun := false
	for _, r := range command + " " {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r != ' ':
			word.WriteRune(r)
			begun = true
		case begun:
			list = append(list, word.String())
			word.Reset()
			begun = false
		}
	}
	if quote != 0 {
		return nil, errors.New("unclosed quote")
	}
	return list, nil
}
