package main

import (
	"slices"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/results"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

// server is a server that takes part, and how to start it.
type server struct {
	results.Server
	from *servers.Server
}

// takesPart reports whether a server is measured in a row. The floor always is.
func (v *server) takesPart(p planned) bool {
	switch {
	case v.Role == results.Floor:
		return true
	case v.Protocol == "tcp" && !p.tcp, p.Conns < v.from.MinConns:
		return false
	}
	return v.from.Can(p.wanted())
}

// cell is a measurement to make.
type cell struct {
	planned
	server *server
	round  int
}

// plan is what to measure.
type plan struct {
	rows     []planned
	servers  []*server // the floor first
	settings results.Settings
}

// cells returns the cells that are not yet in the set, in the order in which to measure them: by
// rounds, then by rows, in each row the floor and then the servers. Every other round has the
// servers in reverse order, so that a drift of the machine favours none. If a row lacks any cell,
// its floor is measured again, because a ratio needs a floor of the same minute.
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

// cost estimates how long the cells take.
func (p *plan) cost(cells []cell) time.Duration {
	var d time.Duration
	for _, c := range cells {
		d += c.cost(p.settings)
	}
	return d
}
