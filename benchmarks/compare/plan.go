package main

import (
	"slices"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

// server is one that takes part, and how it is started.
type server struct {
	results.Server
	from *servers.Server
}

// takesPart says whether a server is measured in a row. The floor is in all of them.
func (v *server) takesPart(p planned) bool {
	switch {
	case v.Role == results.Floor:
		return true
	case v.Protocol == "tcp" && !p.tcp:
		return false
	}
	return v.from.Can(p.Kind == load.Broadcast, p.Compress)
}

// cell is a measurement that is to be made.
type cell struct {
	planned
	server *server
	round  int
}

// plan is all that is to be measured.
type plan struct {
	rows     []planned
	servers  []*server // the floor first
	settings results.Settings
}

// cells are those that are not in the set yet, in the order in which they are measured: round by round, row by row, in each
// the floor, and then the servers, in every other round in reverse, so that what drifts helps none. Where any is missing the
// floor is measured again, because a ratio is only one with a floor of the same minute.
func (p *plan) cells(have *results.Set) []cell {
	var todo []cell
	for round := 1; round <= p.settings.Rounds; round++ {
		for _, row := range p.rows {
			var missing []cell
			for _, v := range p.servers {
				if v.takesPart(row) && v.Role != results.Floor && !have.Has(row.Row, v.Server, round) {
					missing = append(missing, cell{row, v, round})
				}
			}
			if round%2 == 0 {
				slices.Reverse(missing)
			}
			if f := p.servers[0]; len(missing) > 0 || !have.Has(row.Row, f.Server, round) {
				todo = append(todo, cell{row, f, round})
			}
			todo = append(todo, missing...)
		}
	}
	return todo
}

// cost is about how long the cells take.
func (p *plan) cost(cells []cell) time.Duration {
	var d time.Duration
	for _, c := range cells {
		d += c.cost(p.settings)
	}
	return d
}
