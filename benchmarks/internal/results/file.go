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

// Host describes the machine on which cells were measured. Unknown fields are empty.
type Host struct {
	CPU    string  `json:"cpu"`
	Cores  int     `json:"cores"`
	Memory float64 `json:"memory_gib"`
	System string  `json:"system"` // name of the distribution
	Kernel string  `json:"kernel"`
	Go     string  `json:"go"`
	GCC    string  `json:"gcc"`
}

// Settings is how cells were measured.
type Settings struct {
	Seconds float64 `json:"seconds"` // per cell; some rows are measured longer
	WarmUp  float64 `json:"warm_up"`
	Rounds  int     `json:"rounds"`
}

// Role is why a server is measured.
type Role string

const (
	Floor Role = "floor" // ratios are to it
	Ours  Role = "ours"
	Peer  Role = "peer"  // a server in Go that ours is compared with
	Other Role = "other" // is in the report, but not compared with
)

// Server is a server that takes part.
type Server struct {
	Name     string `json:"name"`
	Protocol string `json:"protocol"` // "ws" or "tcp"
	Role     Role   `json:"role"`
	Version  string `json:"version"`
	Tuning   string `json:"tuning,omitempty"`
}

// Run is a line of the file: the conditions under which the following cells were measured. A file
// has more than one if a run was interrupted and continued.
type Run struct {
	Host     Host     `json:"host"`
	Settings Settings `json:"settings"`
	Servers  []Server `json:"servers"`
	Commit   string   `json:"commit"`
	Date     string   `json:"date"`
}

// ID identifies the machine and the settings. Cells with different IDs are never mixed.
func (r *Run) ID() string {
	s := r.Settings
	s.Rounds = 0 // a file may get more rounds
	b, err := json.Marshal([]any{r.Host, s})
	if err != nil {
		panic(err) // these values can be encoded
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// Cell is a line of the file: one measurement of one server under one load.
type Cell struct {
	Run     string      `json:"run"` // the Run's ID
	Round   int         `json:"round"`
	Server  string      `json:"server"`
	Version string      `json:"version"`
	Error   string      `json:"error,omitempty"` // why there is no result
	Result  load.Result `json:"result"`          // after an error, only its Config

	floor *Cell // the last measurement of the floor before, in the same row and round
}

// Row returns the cell's row.
func (c *Cell) Row() Row { return RowOf(c.Result.Config) }

// Fault describes what is wrong with the cell. It is "" if the figures are valid.
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

// File is a file of results to which cells are appended.
type File struct {
	f *os.File
	*Set
}

// Read reads a file of results. It ignores a last line that is incomplete after an interruption.
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

// Open opens a file of results to append to it, and creates it if necessary. It cuts off a last
// line that is incomplete after an interruption.
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

// parse parses complete lines and returns their size in bytes.
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

// Begin adds the conditions under which the following cells are measured. They must be those of the
// existing cells.
func (f *File) Begin(r *Run) error { return f.write(line{Run: r}) }

// Add writes a cell to the file at once, so that an interruption loses none.
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
