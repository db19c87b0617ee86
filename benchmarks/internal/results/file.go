package results

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
)

// Host says where cells were measured. What is not known is empty.
type Host struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memory_gib"`
	System string  `json:"system"` // of the distribution
	Kernel string  `json:"kernel"`
	Go     string  `json:"go"`
	GCC    string  `json:"gcc"`
}

// Settings say how cells were measured.
type Settings struct {
	Seconds float64 `json:"seconds"` // measured per cell; some rows have a multiple
	WarmUp  float64 `json:"warm_up"`
	Rounds  int     `json:"rounds"`
}

// Role is what a server is there for.
type Role string

const (
	Floor Role = "floor" // what everything is divided by
	Ours  Role = "ours"
	Peer  Role = "peer"  // in Go: what ours is judged against
	Other Role = "other" // shown, not judged against
)

// Server is one that takes part.
type Server struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // "ws" or "tcp"
	Role     Role   `json:"role"`
	Version  string `json:"version"`
	Tuning   string `json:"tuning,omitempty"`
}

// Run is a line of the file: under what conditions the cells that follow were measured. A run that was interrupted and went
// on has more than one.
type Run struct {
	Host     Host     `json:"host"`
	Settings Settings `json:"settings"`
	Servers  []Server `json:"servers"`
	Commit   string   `json:"commit"`
	Date     string   `json:"date"`
}

// ID tells machines and settings apart: cells of different IDs are never mixed.
func (r *Run) ID() string {
	s := r.Settings
	s.Rounds = 0 // more rounds of the same are welcome
	b, err := json.Marshal([]any{r.Host, s})
	if err != nil {
		panic(err) // plain values
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// Cell is a line of the file: one server under one load, once.
type Cell struct {
	Run     string      `json:"run"` // its ID
	Round   int         `json:"round"`
	Server  string      `json:"server"`
	Version string      `json:"version"`
	Error   string      `json:"error,omitempty"` // why there is no result
	Result  load.Result `json:"result"`          // of an error: the Config alone

	floor *Cell // the floor measured last before it, in the same row and round
}

// Row is the row that the cell is of.
func (c *Cell) Row() Row { return RowOf(c.Result.Config) }

// Fault says what is wrong with the cell, and is empty when its figures count.
func (c *Cell) Fault() string {
	r := &c.Result
	switch {
	case c.Error != "":
		return c.Error
	case r.Wrong > 0:
		return fmt.Sprintf("%s wrong messages", Count(float64(r.Wrong)))
	case r.Failed > 0:
		return fmt.Sprintf("%s connections failed: %s", Count(float64(r.Failed)), r.FirstError)
	case r.Messages == 0 && r.Kind != load.Idle && r.Kind != load.Storm:
		return "no message came back"
	}
	return ""
}

type line struct {
	Run  *Run  `json:"run,omitempty"`
	Cell *Cell `json:"cell,omitempty"`
}

// File is a file of results that cells are appended to.
type File struct {
	f *os.File
	*Set
}

// Read reads a file of results. A last line that an interruption tore is left out.
func Read(name string) (*Set, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	set, _, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return set, nil
}

// Open opens a file of results to go on with it, or makes it. A last line that an interruption tore is cut off.
func Open(name string) (*File, error) {
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	set, whole, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(int64(whole)); err != nil {
		f.Close()
		return nil, err
	}
	return &File{f, set}, nil
}

// parse reads lines and says how many bytes the whole ones are.
func parse(b []byte) (*Set, int, error) {
	set, whole := &Set{}, 0
	for n := 1; ; n++ {
		text, _, ok := bytes.Cut(b[whole:], []byte("\n"))
		if !ok {
			return set, whole, nil
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		}
		if err := set.add(l); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", n, err)
		}
		whole += len(text) + 1
	}
}

// Begin says under what conditions the cells that follow are measured. They must be those of the cells that are there.
func (f *File) Begin(r *Run) error { return f.write(line{Run: r}) }

// Add writes a cell at once, so that an interruption loses none.
func (f *File) Add(c *Cell) error { return f.write(line{Cell: c}) }

func (f *File) write(l line) error {
	if err := f.add(l); err != nil {
		return err
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = f.f.Write(append(b, '\n'))
	return err
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }
