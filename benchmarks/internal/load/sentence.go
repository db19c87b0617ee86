package load

import (
	"fmt"
	"strings"
)

// Sentence describes the result in words.
func (r *Result) Sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s over %s: %d connections, ", r.Kind, r.Protocol, r.Opened)
	unit := "message"
	switch r.Kind {
	case Storm, Churn:
		unit = "connection"
		fmt.Fprintf(&b, "%.0f handshakes/s (p50 %.0f us, p99 %.0f us, %d over a second)",
			r.PerSecond, r.Handshake.P50, r.Handshake.P99, r.Slow)
	case Idle:
		fmt.Fprintf(&b, "held for %.1f s, %.0f bytes of server memory each", r.Seconds, r.PerConn)
	default:
		fmt.Fprintf(&b, "%.0f messages/s of %d bytes (p50 %.0f us, p99 %.0f us, max %.0f us)",
			r.PerSecond, r.Size, r.Latency.P50, r.Latency.P99, r.Latency.Max)
	}
	if r.ServerPID != 0 {
		if r.Kind != Idle {
			fmt.Fprintf(&b, "; the server used %.2f us of CPU per %s", r.ServerCPU, unit)
		}
		fmt.Fprintf(&b, "; the server used %.1f %% of a core", 100*r.ServerBusy)
	}
	fmt.Fprintf(&b, "; the generator used %.1f %%", 100*r.LoadBusy)
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{uint64(r.Failed), "connections failed"},
		{r.Wrong, "messages were wrong"},
		{r.Missed, "messages were late"},
	} {
		if c.n > 0 {
			fmt.Fprintf(&b, "; %d %s", c.n, c.what)
		}
	}
	if r.FirstError != "" {
		fmt.Fprintf(&b, " (%s)", r.FirstError)
	}
	return b.String()
}
