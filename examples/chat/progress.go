package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/myriadnet/myriad/engine"
)

const (
	lookEvery = 50 * time.Millisecond
	showAfter = 300 * time.Millisecond // a handover that is shorter is told by its end only
	barWidth  = 30
)

// showProgress draws a bar in the terminal while connections move. Elsewhere, and at the end, it
// writes a line.
func showProgress(ctx context.Context, to *os.File, progress func() engine.HandoverStats) {
	info, err := to.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var last engine.HandoverStats
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true // the last look
		case <-tick.C:
		}
		s := progress()
		running := s.Stage == engine.HandoverBegun || s.Stage == engine.HandoverMoving
		switch {
		case running && terminal && s.Took > showAfter:
			fmt.Fprint(to, "\r"+bar(&s)+"\x1b[K")
		// After one that was taken over, another may be given between two looks.
		case !running && s.Stage != engine.HandoverNone && (s.Stage != last.Stage || s.Took != last.Took):
			tell(to, terminal, &s)
		}
		last = s
	}
}

// bar returns one line. The new process does not know how many will come.
func bar(s *engine.HandoverStats) string {
	if s.Total == 0 {
		return fmt.Sprintf("handover: %s, %d connections, %.1f s", s.Stage, s.Moved, s.Took.Seconds())
	}
	full := min(barWidth, s.Moved*barWidth/s.Total)
	return fmt.Sprintf("handover: [%s%s] %d of %d connections, %.1f s",
		strings.Repeat("#", full), strings.Repeat(".", barWidth-full), s.Moved, s.Total, s.Took.Seconds())
}

// tell writes how a handover has ended.
func tell(to io.Writer, terminal bool, s *engine.HandoverStats) {
	if terminal {
		fmt.Fprint(to, "\r\x1b[K")
	}
	verb := "given"
	if s.Inherited {
		verb = "taken over"
	}
	fmt.Fprintf(to, "handover %s: %d connections %s in %.3f s", s.Stage, s.Moved, verb, s.Took.Seconds())
	for cause, n := range s.Stayed {
		fmt.Fprintf(to, ", %d closed (%s)", n, cause)
	}
	if s.Err != nil {
		fmt.Fprintf(to, ": %v", s.Err)
	}
	fmt.Fprintln(to)
}
