package metrics

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"html"
	"strconv"
)

// pageHead is the page up to the heading.
//
//go:embed inspect.html
var pageHead string

// writePage writes Inspect's page without html/template. Templates keep the linker from leaving
// methods out: every program that uses this package would take a mebibyte more memory.
func writePage(b *bytes.Buffer, found Inspection) {
	b.WriteString(pageHead)
	fmt.Fprintf(b, "<p>Watched for %v s. Query parameters: period=5s, top=50. "+
		"Without Accept: text/html the response is JSON.</p>\n", found.PeriodSeconds)
	for i, l := range found.Loops {
		fmt.Fprintf(b, "<section>\n<h2>Loop %d</h2>\n", i)
		fmt.Fprintf(b, "<p>Now: %d connections, %s buffered, %d timers, %d tasks waiting. ",
			l.Connections, byteSize(l.BufferedBytes), l.Timers, l.Tasks)
		fmt.Fprintf(b, "Since the start: %d accepted, %d messages, %s read, %s written.</p>\n",
			l.Accepted, l.Messages, byteSize(l.ReadBytes), byteSize(l.WrittenBytes))
		writeBusiest(b, l.Busiest)
		b.WriteString("</section>\n")
	}
	b.WriteString("</body>\n</html>\n")
}

func writeBusiest(b *bytes.Buffer, busiest []ConnInspection) {
	if len(busiest) == 0 {
		b.WriteString("<p>No traffic.</p>\n")
		return
	}
	b.WriteString("<table>\n<thead><tr><th>Remote<th>Local<th>Protocol<th>Layer<th>State")
	b.WriteString(`<th class="n">Read<th class="n">Written<th class="n">Unconsumed<th class="n">Unsent</thead>` +
		"\n<tbody>\n")
	for _, c := range busiest {
		fmt.Fprintf(b, "<tr><td>%s<td>%s<td><code>%s</code><td>%s<td>%s", html.EscapeString(cmp.Or(c.Remote, "unix")),
			html.EscapeString(cmp.Or(c.Local, "unix")), html.EscapeString(c.Protocol), html.EscapeString(c.Layer),
			html.EscapeString(c.State))
		for _, n := range []any{c.ReadBytes, c.WrittenBytes, c.InboundBytes, c.OutboundBytes} {
			fmt.Fprintf(b, `<td class="n">%s`, byteSize(n))
		}
		b.WriteByte('\n')
	}
	b.WriteString("</tbody>\n</table>\n")
}

// byteSize formats a number of bytes, an int or a uint64.
func byteSize(n any) string {
	f, _ := strconv.ParseFloat(fmt.Sprint(n), 64)
	unit := 0
	for f >= 999.5 && unit < 6 {
		f, unit = f/1000, unit+1
	}
	if unit == 0 {
		return fmt.Sprint(n, " B")
	}
	decimals := 2 // three digits in all
	if f >= 9.995 {
		decimals = 1
	}
	if f >= 99.95 {
		decimals = 0
	}
	return fmt.Sprintf("%.*f %cB", decimals, f, " kMGTPE"[unit])
}
