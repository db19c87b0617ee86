package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// bar is a server's figure: a horizontal bar with its value beside it, and a whisker from the
// minimum to the maximum of its rounds.
type bar struct {
	name  string
	role  results.Role
	value results.Spread
	label string
}

// bars is a Plotter for bars, the first one at the top.
type bars struct {
	list []bar
	mark float64 // a dashed line, when not 0
	text text.Style
}

// barPlot makes a plot of bars. mark is where the floor is, if not 0.
func barPlot(title, axis string, list []bar, mark float64) *plot.Plot {
	p := newPlot(title, axis, "")
	b := &bars{list: list, mark: mark, text: p.X.Tick.Label}
	b.text.XAlign, b.text.YAlign = text.XLeft, text.YCenter
	p.Add(b)
	names := make([]string, len(list))
	for i, v := range list {
		names[len(list)-1-i] = v.name
	}
	p.NominalY(names...)
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = text.XRight, text.YCenter
	p.Y.Width, p.Y.Padding = 0, 0
	p.X.Tick.Marker = roundTicks{5}
	p.X.Padding = 0
	return p
}

func (b *bars) y(i int) float64 { return float64(len(b.list) - 1 - i) }

// DataRange implements plot.DataRanger.
func (b *bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmax = b.mark * 1.05
	for _, v := range b.list {
		xmax = max(xmax, v.value.Max)
	}
	return 0, xmax, -0.6, float64(len(b.list)) - 0.4
}

// GlyphBoxes implements plot.GlyphBoxer. It makes room for the values.
func (b *bars) GlyphBoxes(p *plot.Plot) []plot.GlyphBox {
	var boxes []plot.GlyphBox
	for i, v := range b.list {
		r := b.style(v).Rectangle(v.label)
		r.Min.X += labelGap
		r.Max.X += labelGap
		boxes = append(boxes, plot.GlyphBox{X: p.X.Norm(v.value.Max), Y: p.Y.Norm(b.y(i)), Rectangle: r})
	}
	return boxes
}

const labelGap = vg.Length(7)

func (b *bars) style(v bar) text.Style {
	s := b.text
	s.Font = face(textSize, v.role == results.Ours)
	return s
}

// Plot implements plot.Plotter.
func (b *bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	half := min((y(1)-y(0))*0.34, 15)
	for i, v := range b.list {
		mid := y(b.y(i))
		c.FillPolygon(barInk(v.role), []vg.Point{
			{X: x(0), Y: mid - half}, {X: x(v.value.Median), Y: mid - half},
			{X: x(v.value.Median), Y: mid + half}, {X: x(0), Y: mid + half},
		})
		if lo, hi := x(v.value.Min), x(v.value.Max); v.value.Max > v.value.Min {
			for _, line := range []draw.LineStyle{{Color: color.White, Width: 3.6}, {Color: ink, Width: 1.2}} {
				c.StrokeLine2(line, lo, mid, hi, mid)
				c.StrokeLine2(line, lo, mid-half/2, lo, mid+half/2)
				c.StrokeLine2(line, hi, mid-half/2, hi, mid+half/2)
			}
		}
		at := x(v.value.Max) + labelGap
		if m := x(b.mark); b.mark > 0 && at < m+labelGap && at+b.style(v).Width(v.label) > m-labelGap {
			at = m + labelGap // do not write across the dashed line
		}
		c.FillText(b.style(v), vg.Point{X: at, Y: mid + textSize*0.1}, v.label)
	}
	if b.mark > 0 {
		c.StrokeLine2(dashed(ink), x(b.mark), c.Min.Y, x(b.mark), c.Max.Y)
	}
}

func dashed(ink color.Color) draw.LineStyle {
	return draw.LineStyle{Color: ink, Width: 1.8, Dashes: []vg.Length{6, 4}}
}
