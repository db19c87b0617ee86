package report

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"

	xfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// Plots are 800 pixels wide at 96 dpi. The letters are large enough to read at half of that size,
// on a phone.
const (
	plotWidth  = 600 * vg.Length(1)
	plotHeight = 390 * vg.Length(1)
	titleSize  = 20 * vg.Length(1)
	textSize   = 17 * vg.Length(1)
	pngDPI     = 192
)

var (
	ink      = color.RGBA{0x22, 0x22, 0x22, 0xff}
	gridInk  = color.RGBA{0xdd, 0xdd, 0xdd, 0xff}
	barOurs  = color.RGBA{0x00, 0x72, 0xb2, 0xff}
	barPeer  = color.RGBA{0xb4, 0xba, 0xc2, 0xff}
	barFloor = color.RGBA{0x55, 0x55, 0x55, 0xff}
	// These are Okabe and Ito's colours, which people with red-green blindness can tell apart. Ours
	// is their blue, which no other server has.
	peerInks = []color.RGBA{
		{0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x9e, 0x73, 0xff}, {0xcc, 0x79, 0xa7, 0xff}, {0xe6, 0x9f, 0x00, 0xff},
		{0x56, 0xb4, 0xe9, 0xff}, {0x8c, 0x56, 0x4b, 0xff},
	}
)

func face(size vg.Length, bold bool) font.Font {
	f := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	if bold {
		f.Weight = xfont.WeightBold
	}
	return f
}

// newPlot makes an empty plot in our style.
func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.Padding = 10
	p.Title.TextStyle.Font = face(titleSize, true)
	p.Title.TextStyle.Color = ink
	p.X.Label.Text, p.Y.Label.Text = x, y
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font = face(textSize, false)
		a.Label.TextStyle.Color = ink
		a.Label.Padding = 4
		a.Tick.Label.Font = face(textSize, false)
		a.Tick.Label.Color = ink
		a.Tick.Color, a.Color = ink, ink
	}
	return p
}

// save draws a plot as name.svg and name.png.
func save(p *plot.Plot, name string) error {
	vector := vgsvg.New(plotWidth, plotHeight)
	p.Draw(margin(vector))
	var b bytes.Buffer
	if _, err := vector.WriteTo(&b); err != nil {
		return err
	}
	// Few readers have Liberation. Arial and Helvetica are as wide.
	svg := bytes.ReplaceAll(b.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;"))
	if err := os.WriteFile(name+".svg", svg, 0o644); err != nil {
		return err
	}
	b.Reset()
	raster := vgimg.NewWith(vgimg.UseWH(plotWidth, plotHeight), vgimg.UseDPI(pngDPI))
	p.Draw(margin(raster))
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&b, fewColors(raster.Image())); err != nil {
		return err
	}
	return os.WriteFile(name+".png", b.Bytes(), 0o644)
}

// fewColors converts an image to a paletted one, which makes a much smaller file. 16 steps per
// primary colour are enough for the edges of letters. An image that still has too many colours is
// returned unchanged.
func fewColors(im image.Image) image.Image {
	bounds, index := im.Bounds(), map[color.RGBA]uint8{}
	out := image.NewPaletted(bounds, nil)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			r, g, b, _ := im.At(x, y).RGBA()
			c := color.RGBA{step(r), step(g), step(b), 0xff}
			i, known := index[c]
			if !known {
				if len(out.Palette) == 256 {
					return im
				}
				i = uint8(len(out.Palette))
				index[c], out.Palette = i, append(out.Palette, c)
			}
			out.SetColorIndex(x, y, i)
		}
	}
	return out
}

// step rounds a 16-bit value to one of 16 steps of an 8-bit value.
func step(v uint32) uint8 { return uint8((v*15+0x7fff)/0xffff) * 17 }

// margin paints the canvas white, for readers with a dark page, and returns it without a margin.
func margin(c vg.CanvasSizer) draw.Canvas {
	all := draw.New(c)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	return draw.Crop(all, 10, -14, 8, -10)
}

func barInk(r results.Role) color.Color {
	switch r {
	case results.Ours:
		return barOurs
	case results.Peer:
		return barPeer
	}
	return barFloor
}
