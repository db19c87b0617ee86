package results

import (
	"errors"
	"fmt"
	"slices"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
)

// ErrOther is the error of a File that has results of another machine or other settings.
var ErrOther = errors.New("results of another machine or other settings")

// Set is what was measured on one machine. The zero value is empty.
type Set struct {
	Run    *Run // the last one; nil: none yet
	cells  map[key]*Cell
	rows   []Row // sorted
	rounds int
}

type key struct {
	row    Row
	server string
	round  int
}

func (s *Set) add(l line) error {
	switch {
	case l.Run != nil:
		if s.Run != nil && s.Run.ID() != l.Run.ID() {
			return ErrOther
		}
		s.Run = l.Run
	case l.Cell != nil:
		if s.Run == nil || s.Run.ID() != l.Cell.Run {
			return fmt.Errorf("a cell of %s: %w", l.Cell.Run, ErrOther)
		}
		s.put(l.Cell)
	}
	return nil
}

func (s *Set) put(c *Cell) {
	row := c.Row()
	if s.cells == nil {
		s.cells = map[key]*Cell{}
	}
	if i, found := slices.BinarySearchFunc(s.rows, row, Row.Compare); !found {
		s.rows = slices.Insert(s.rows, i, row)
	}
	s.cells[key{row, c.Server, c.Round}] = c
	s.rounds = max(s.rounds, c.Round)
	if f := s.cells[key{row, s.FloorName(), c.Round}]; f != nil && f.Fault() == "" {
		c.floor = f
	}
}

// FloorName returns the name of the server to which ratios are.
func (s *Set) FloorName() string {
	for _, v := range s.Run.Servers {
		if v.Role == Floor {
			return v.Name
		}
	}
	return ""
}

// Has reports whether there is a cell of this version of the server.
func (s *Set) Has(row Row, server Server, round int) bool {
	c := s.cells[key{row, server.Name, round}]
	return c != nil && c.Version == server.Version
}

// Rows returns the rows that were measured, in the order of a report.
func (s *Set) Rows() []Row { return s.rows }

// Servers returns the servers that took part in a row, in the order of the run.
func (s *Set) Servers(row Row) []Server {
	var in []Server
	for _, v := range s.Run.Servers {
		if len(s.Cells(row, v.Name)) > 0 {
			in = append(in, v)
		}
	}
	return in
}

// Cells returns the cells of a server in a row by rounds, including faulty ones.
func (s *Set) Cells(row Row, server string) []*Cell {
	var cells []*Cell
	for round := 1; round <= s.rounds; round++ {
		if c := s.cells[key{row, server, round}]; c != nil {
			cells = append(cells, c)
		}
	}
	return cells
}

// Spread is a figure over N rounds.
type Spread struct {
	Median, Min, Max float64
	N                int
}

func spread(v []float64) Spread {
	if len(v) == 0 {
		return Spread{}
	}
	slices.Sort(v)
	n := len(v)
	return Spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1], N: n}
}

// Metric returns a figure of a result, or 0 if the result does not have it.
type Metric func(*load.Result) float64

// Of returns a figure of a server in a row, over the rounds without a fault.
func (s *Set) Of(row Row, server string, m Metric) Spread {
	var v []float64
	for _, c := range s.Cells(row, server) {
		if c.Fault() == "" {
			v = append(v, m(&c.Result))
		}
	}
	return spread(v)
}

// Ratio returns a server's figure divided by that of the floor that was measured before it in the
// same round.
func (s *Set) Ratio(row Row, server string, m Metric) Spread {
	var v []float64
	for _, c := range s.Cells(row, server) {
		if c.Fault() != "" || c.floor == nil {
			continue
		}
		if f := m(&c.floor.Result); f > 0 {
			v = append(v, m(&c.Result)/f)
		}
	}
	return spread(v)
}

// Versus returns a's figure divided by b's in the same round.
func (s *Set) Versus(row Row, a, b string, m Metric) Spread {
	var v []float64
	for _, c := range s.Cells(row, a) {
		d := s.cells[key{row, b, c.Round}]
		if d == nil || c.Fault() != "" || d.Fault() != "" {
			continue
		}
		if x := m(&d.Result); x > 0 {
			v = append(v, m(&c.Result)/x)
		}
	}
	return spread(v)
}

// Faults describes what went wrong with a server in a row.
func (s *Set) Faults(row Row, server string) []string {
	var f []string
	for _, c := range s.Cells(row, server) {
		if t := c.Fault(); t != "" {
			f = append(f, fmt.Sprintf("round %d: %s", c.Round, t))
		}
	}
	return f
}

// LoadBound reports whether in any round the load generator had no time left while the server had.
func (s *Set) LoadBound(row Row, server string) bool {
	return slices.ContainsFunc(s.Cells(row, server), func(c *Cell) bool { return c.Result.Bottleneck })
}
