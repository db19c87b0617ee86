package main

import "iter"

// cellSize is the size of a grid's cells.
const (
	cellSize = 200
	cells    = worldSize/cellSize + 1
)

// grid finds things by area, without looking at all of them: interest management. It is filled anew
// in every step, and keeps its memory.
type grid [cells * cells][]int32

func (g *grid) reset() {
	for i := range g {
		g[i] = g[i][:0]
	}
}

func cell(v float64) int { return min(max(int(v)/cellSize, 0), cells-1) }

func (g *grid) add(i int, x, y float64) {
	c := &g[cell(y)*cells+cell(x)]
	*c = append(*c, int32(i))
}

// near ranges over what is in the cells that an area touches, so also over some that is outside.
func (g *grid) near(x0, y0, x1, y1 float64) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for row := cell(y0); row <= cell(y1); row++ {
			for column := cell(x0); column <= cell(x1); column++ {
				for _, i := range g[row*cells+column] {
					if !yield(i) {
						return
					}
				}
			}
		}
	}
}
