// Package servers knows the servers that are measured: how they are built, started and tuned, and what they can do.
package servers

import (
	"fmt"
	"strconv"
	"strings"
)

// Role is what a server is there for.
type Role string

const (
	Floor Role = "floor" // what can be had at best: every figure is a ratio to it
	Ours  Role = "ours"
	Peer  Role = "peer"
)

// Server is a server that can be measured.
type Server struct {
	Name     string `json:"name"`     // in flags, reports and file names
	Protocol string `json:"protocol"` // "ws" or "tcp"
	Role     Role   `json:"role"`
	Source   string `json:"source"`  // Go's path, or what else says where it comes from
	Version  string `json:"version"` // of what is in the binary; set by Build
	Tuned    string `json:"tuned"`   // how, in a sentence or two
	// What it can do besides an echo.
	Broadcast bool `json:"broadcast"`
	Compress  bool `json:"compress"`
	// BroadcastPath is where connections are opened whose messages are for all. "" if a server that was started for a broadcast
	// sends all messages to all.
	BroadcastPath string `json:"broadcast_path,omitempty"`

	forBroadcast *Server // is started for a broadcast instead; nil: this one is

	binary  string   // its absolute path, by Build
	builder builder  // nil: there is nothing to build
	argv    []string // with placeholders: see Command
}

// Endings of words in argv that are there only if that is asked for.
const (
	ifBroadcast = "?broadcast"
	ifCompress  = "?compress"
)

// Command is the command line of a server that listens on a port of 127.0.0.1. Build must have been called, and the server be
// able to do what is asked for. On which processors, with which GOMAXPROCS, is the caller's business.
func (s *Server) Command(port int, broadcast, compress bool) []string {
	replacer := strings.NewReplacer("{bin}", s.binary, "{port}", strconv.Itoa(port))
	if broadcast && s.forBroadcast != nil {
		return s.forBroadcast.Command(port, broadcast, compress)
	}
	var argv []string
	for _, arg := range s.argv {
		flag, conditional := strings.CutSuffix(arg, ifBroadcast)
		wanted := !conditional || broadcast
		if flag, conditional = strings.CutSuffix(flag, ifCompress); conditional {
			wanted = compress
		}
		if wanted {
			argv = append(argv, replacer.Replace(flag))
		}
	}
	return argv
}

// Can says whether the server can do what is asked for.
func (s *Server) Can(broadcast, compress bool) bool {
	return (s.Broadcast || !broadcast) && (s.Compress || !compress)
}

// All returns every server that this module has. The caller may change them.
func All() []*Server {
	var list []*Server
	for _, s := range table {
		if s.forBroadcast != nil {
			other := *s.forBroadcast
			s.forBroadcast = &other
		}
		list = append(list, &s)
	}
	return list
}

// WSServer returns Myriad's WebSocket server that tells figures about itself (-metrics). It is not one of All, but is started
// for broadcasts.
func WSServer() *Server {
	s := wsserver
	return &s
}

// Find returns the server of a name.
func Find(name string) (*Server, error) {
	var names []string
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return nil, fmt.Errorf("there is no server %q, but %s", name, strings.Join(names, ", "))
}

// Parse makes a server of a flag's value, name=ws:command or name=tcp:command. The command has words, quoted by ' or " where they
// have spaces, and {port} somewhere. A word {broadcast} becomes -broadcast, or nothing, and says that the server can; so it is
// with {compress}. Programs and files are found from the working directory.
func Parse(spec string) (*Server, error) {
	name, rest, _ := strings.Cut(spec, "=")
	protocol, command, _ := strings.Cut(rest, ":")
	if name == "" || strings.ContainsAny(name, "/\\ ") || protocol != "ws" && protocol != "tcp" {
		return nil, fmt.Errorf("server %q: want name=ws:command or name=tcp:command", spec)
	}
	if !strings.Contains(command, "{port}") {
		return nil, fmt.Errorf("server %q: its command does not say where {port} goes", spec)
	}
	argv, err := words(command)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", spec, err)
	}
	s := &Server{Name: name, Protocol: protocol, Role: Peer, Source: command, Tuned: "As its command line says.", argv: argv}
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

// words splits a command at spaces that are not quoted.
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
		return nil, fmt.Errorf("a quote is not closed")
	}
	return list, nil
}
