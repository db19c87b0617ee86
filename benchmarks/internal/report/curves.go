package report

import (
	"cmp"
	"image/color"
	"math"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// curve is a server's line. Its name is at the right end.
type curve struct {
	name   string
	role   results.Role
	ink    color.Color
	points plotter.XYs
	dots   bool
}

type curves struct {
	list []curve
	text text.Style
}

// curvePlot makes a plot of lines with their names at the right end.
func curvePlot(title, x, y string, list []curve) *plot.Plot {
	p := newPlot(title, x, y)
	c := &curves{list: list, text: p.X.Tick.Label}
	c.text.XAlign, c.text.YAlign = text.XLeft, text.YCenter
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = nil, gridInk
	p.Add(grid, c)
	return p
}

// DataRange implements plot.DataRanger.
func (c *curves) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, ymin = math.Inf(1), math.Inf(1)
	xmax, ymax = math.Inf(-1), math.Inf(-1)
	for _, v := range c.list {
		x0, x1, y0, y1 := plotter.XYRange(v.points)
		xmin, xmax, ymin, ymax = min(xmin, x0), max(xmax, x1), min(ymin, y0), max(ymax, y1)
	}
	return
}

// GlyphBoxes implements plot.GlyphBoxer. It makes room for the names.
func (c *curves) GlyphBoxes(p *plot.Plot) []plot.GlyphBox {
	var boxes []plot.GlyphBox
	for _, v := range c.list {
		r := c.style(v).Rectangle(v.name)
		r.Min.X += nameGap
		r.Max.X += nameGap
		boxes = append(boxes, plot.GlyphBox{X: 1, Y: 0.5, Rectangle: r})
	}
	return boxes
}

const nameGap = vg.Length(20)

func (c *curves) style(v curve) text.Style {
	s := c.text
	s.Color = v.ink
	s.Font = face(textSize, v.role == results.Ours)
	return s
}

// Plot implements plot.Plotter. It draws ours last, over the others.
func (c *curves) Plot(dc draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&dc)
	order := slices.Clone(c.list)
	slices.SortStableFunc(order, func(a, b curve) int { return depth(a.role) - depth(b.role) })
	for _, v := range order {
		line := draw.LineStyle{Color: v.ink, Width: 2.2}
		switch v.role {
		case results.Ours:
			line.Width = 4
		case results.Floor:
			line = dashed(v.ink)
		}
		pts := make([]vg.Point, len(v.points))
		for i, q := range v.points {
			pts[i] = vg.Point{X: x(q.X), Y: y(q.Y)}
		}
		dc.StrokeLines(line, pts)
		if v.dots {
			for _, pt := range pts {
				dot := draw.GlyphStyle{Color: v.ink, Radius: line.Width + 1, Shape: draw.CircleGlyph{}}
				dc.DrawGlyphNoClip(dot, pt)
			}
		}
	}
	c.names(dc, x, y)
}

func depth(r results.Role) int {
	if r == results.Ours {
		return 1
	}
	return 0
}

// names writes each curve's name beside its end, moved up or down so that no name covers another.
func (c *curves) names(dc draw.Canvas, x, y func(float64) vg.Length) {
	type name struct {
		curve
		end, at vg.Length
	}
	var list []name
	for _, v := range c.list {
		if n := len(v.points); n > 0 {
			end := y(v.points[n-1].Y)
			list = append(list, name{v, end, end})
		}
	}
	slices.SortStableFunc(list, func(a, b name) int { return cmp.Compare(a.end, b.end) })
	step := c.text.Font.Size * 1.12
	for range 200 { // push neighbours apart; a few turns would do
		for i := 1; i < len(list); i++ {
			if lack := step - (list[i].at - list[i-1].at); lack > 0 {
				list[i-1].at -= lack / 2
				list[i].at += lack / 2
			}
		}
		if n := len(list); n > 0 {
			list[0].at = max(list[0].at, dc.Min.Y+step/2)
			list[n-1].at = min(list[n-1].at, dc.Max.Y-step/2)
		}
	}
	for _, n := range list {
		last := n.points[len(n.points)-1]
		tip := vg.Point{X: dc.Max.X + nameGap - 3, Y: n.at}
		dc.StrokeLine2(draw.LineStyle{Color: n.ink, Width: 0.8}, x(last.X), n.end, tip.X, tip.Y)
		dc.FillText(c.style(n.curve), vg.Point{X: dc.Max.X + nameGap, Y: n.at}, n.name)
	}
}
