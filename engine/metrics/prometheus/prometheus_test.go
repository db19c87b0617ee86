package prometheus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/myriadnet/myriad/engine"
)

// echo sends back what it receives.
type echo struct{ c *engine.Conn }

func (p echo) Feed(b []byte) (int, error) {
	p.c.Write(b)
	return len(b), nil
}

func (p echo) Closed(error) {}

// serve runs an echo server on two loops, and waits for the echo of one line.
func serve(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol { return echo{c} })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Run(context.Background()) }()
	t.Cleanup(func() {
		e.Close()
		if err := <-ended; err != nil && !errors.Is(err, engine.ErrClosed) { // connections were cut
			t.Error(err)
		}
	})
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintln(c, "hello")
	if got, err := bufio.NewReader(c).ReadString('\n'); got != "hello\n" {
		t.Fatalf("%q, %v", got, err)
	}
	return e
}

func TestLint(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(NewCollector(serve(t)))
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestCollect(t *testing.T) {
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(NewCollector(serve(t)))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums, series, stretches := map[string]float64{}, map[string]int{}, uint64(0)
	for _, f := range families {
		for _, m := range f.Metric {
			sums[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			series[f.GetName()]++
			if h := m.GetHistogram(); h != nil {
				stretches += h.GetSampleCount()
				if h.GetSampleCount() > 0 && h.GetSampleSum() <= 0 {
					t.Errorf("histogram %v", h)
				}
			}
		}
	}
	for name, want := range map[string]float64{
		"myriad_connections": 1, "myriad_connections_accepted_total": 1, "myriad_read_bytes_total": 6,
		"myriad_written_bytes_total": 6, "myriad_connections_closed_total": 0,
	} {
		if got, ok := sums[name]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
		}
	}
	for name, want := range map[string]int{
		"myriad_connections": 2, "myriad_connections_closed_total": 2 * int(engine.Causes),
		"myriad_connections_refused_total": 2 * int(engine.Refusals), "myriad_loop_work_seconds": 2,
	} {
		if series[name] != want {
			t.Errorf("%d series of %s, want %d", series[name], name, want)
		}
	}
	if stretches == 0 {
		t.Error("no stretches of work")
	}
}

// fixed collects fixed numbers.
type fixed struct {
	collector
	stats engine.LoopStats
}

func (f *fixed) Collect(to chan<- prometheus.Metric) { collect(&f.stats, "0", to) }

func TestHistogram(t *testing.T) {
	f := &fixed{}
	f.stats.Lags[0], f.stats.Lags[10], f.stats.Lags[engine.LagBuckets-1] = 3, 2, 1
	f.stats.Worked = 2500 * time.Millisecond
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(f)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "myriad_loop_work_seconds" {
			continue
		}
		h := family.Metric[0].GetHistogram()
		if n := len(h.Bucket); h.GetSampleCount() != 6 || n != engine.LagBuckets-1 ||
			h.Bucket[0].GetUpperBound() != 1.024e-6 ||
			h.Bucket[9].GetCumulativeCount() != 3 || h.Bucket[10].GetCumulativeCount() != 5 ||
			h.Bucket[n-1].GetCumulativeCount() != 5 {
			t.Errorf("%v", h)
		}
		if h.GetSampleSum() != 2.5 {
			t.Errorf("sum %v, want 2.5", h.GetSampleSum())
		}
		return
	}
	t.Error("no histogram")
}

// TestNothingIsLeftOut checks that whatever engine.LoopStats counts shows.
func TestNothingIsLeftOut(t *testing.T) {
	gather := func(s engine.LoopStats) string {
		r := prometheus.NewRegistry()
		r.MustRegister(&fixed{stats: s})
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(fmt.Sprint(families), "  ", " ")
	}
	zero := gather(engine.LoopStats{})
	for i := range reflect.TypeFor[engine.LoopStats]().NumField() {
		var s engine.LoopStats
		f := reflect.ValueOf(&s).Elem().Field(i)
		if f.Kind() == reflect.Array {
			f = f.Index(f.Len() - 1)
		}
		f.Set(reflect.ValueOf(1).Convert(f.Type()))
		if gather(s) == zero {
			t.Errorf("%s does not show", reflect.TypeOf(s).Field(i).Name)
		}
	}
}

// TestScrapeDoesNotHang checks that a loop that a handler blocks fails the scrape.
func TestScrapeDoesNotHang(t *testing.T) {
	e := serve(t)
	blocked, unblock := make(chan bool), make(chan bool)
	defer close(unblock)
	e.Post(1, func() {
		close(blocked)
		<-unblock
	})
	<-blocked
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(&collector{e, 20 * time.Millisecond})
	if families, err := r.Gather(); err == nil || !strings.Contains(err.Error(), "deadline exceeded") ||
		len(families) > 0 {
		t.Errorf("%v, %v", families, err)
	}
}

// TestAfterTheEnd checks that the last numbers stay.
func TestAfterTheEnd(t *testing.T) {
	e := serve(t)
	e.Close()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(NewCollector(e))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "myriad_connections_closed_total" {
			for _, m := range f.Metric {
				if m.GetCounter().GetValue() == 1 && strings.Contains(m.String(), `"shutdown"`) {
					return
				}
			}
		}
	}
	t.Error("no series has the connection that the shutdown closed")
}
