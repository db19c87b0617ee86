package metrics_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"math"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/metrics"
)

const patience = 10 * time.Second

// echo sends back what it receives.
type echo struct{ c *engine.Conn }

func (p echo) Feed(b []byte) (int, error) {
	p.c.Write(b)
	return len(b), nil
}

func (p echo) Closed(error) {}

// serve runs an echo server on two loops.
func serve(t *testing.T) (*engine.Engine, string) {
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
	return e, ln.Addr().String()
}

// say opens a connection and waits for the echo of a line.
func say(t *testing.T, address, line string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintln(c, line)
	if got, err := bufio.NewReader(c).ReadString('\n'); got != line+"\n" {
		t.Fatalf("%q, %v", got, err)
	}
	return c
}

func TestPublish(t *testing.T) {
	e, address := serve(t)
	say(t, address, "hello")
	name := "myriad of " + t.Name()
	metrics.Publish(name, e)
	var got metrics.Stats
	text := expvar.Get(name).String()
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got.Connections != 1 || got.Accepted != 1 || got.ReadBytes != 6 || got.WrittenBytes != 6 || len(got.Loops) != 2 {
		t.Errorf("%s", text)
	}
	if got.Loops[0].Accepted+got.Loops[1].Accepted != 1 {
		t.Errorf("loops: %s", text)
	}
	for _, key := range []string{`"read_bytes":6`, `"peer":0`, `"descriptors":0`, `"drop_oldest":0`,
		`"below_seconds":0.000001024`} {
		if !strings.Contains(text, key) {
			t.Errorf("no %s in %s", key, text)
		}
	}
	if n := len(got.Lags); n != engine.LagBuckets || got.Lags[n-1].BelowSeconds != 0 {
		t.Errorf("%d buckets: %v", n, got.Lags)
	}
}

// TestPublishDoesNotHang checks that Publish gives up on a loop that a handler blocks.
func TestPublishDoesNotHang(t *testing.T) {
	e, _ := serve(t)
	blocked, unblock := make(chan bool), make(chan bool)
	defer close(unblock)
	e.Post(1, func() {
		close(blocked)
		<-unblock
	})
	<-blocked
	b, err := json.Marshal(metrics.Value(e, 20*time.Millisecond))
	if want := `{"error":"context deadline exceeded"}`; string(b) != want || err != nil {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
}

// TestNothingIsLeftOut checks that whatever engine.LoopStats counts changes the JSON.
func TestNothingIsLeftOut(t *testing.T) {
	encode := func(s engine.LoopStats) string {
		b, err := json.Marshal(metrics.FromStats(engine.Stats{LoopStats: s}))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	zero := encode(engine.LoopStats{})
	seen := map[string]string{zero: "nothing"}
	for i := range reflect.TypeFor[engine.LoopStats]().NumField() {
		var s engine.LoopStats
		name, f := reflect.TypeOf(s).Field(i).Name, reflect.ValueOf(&s).Elem().Field(i)
		each := []reflect.Value{f}
		if f.Kind() == reflect.Array {
			each = nil
			for j := range f.Len() {
				each = append(each, f.Index(j))
			}
		}
		for j, v := range each {
			v.Set(reflect.ValueOf(1).Convert(v.Type()))
			text := encode(s)
			if other, ok := seen[text]; ok {
				t.Errorf("%s[%d] looks like %s", name, j, other)
			}
			seen[text] = fmt.Sprintf("%s[%d]", name, j)
			v.SetZero()
		}
	}
}

func TestLagQuantile(t *testing.T) {
	const last = engine.LagBuckets - 1
	for _, c := range []struct {
		lags map[int]uint64
		q    float64
		want time.Duration
	}{
		{q: .5, want: 0},
		{lags: map[int]uint64{0: 4}, q: .5, want: 512},
		{lags: map[int]uint64{1: 1}, q: 1, want: 2048},
		{lags: map[int]uint64{1: 2}, q: .5, want: 1448}, // halfway
		{lags: map[int]uint64{1: 50, 10: 50}, q: .5, want: 2048},
		{lags: map[int]uint64{1: 98, 10: 2}, q: .99, want: 741455}, // halfway into bucket 10
		{lags: map[int]uint64{3: 7}, q: 0, want: engine.LagBound(2)},
		{lags: map[int]uint64{3: 7}, q: 2, want: engine.LagBound(3)},
		{lags: map[int]uint64{last: 1}, q: .5, want: engine.LagBound(last - 1)},
		{lags: map[int]uint64{0: math.MaxUint32, last: 1}, q: 1, want: engine.LagBound(last - 1)},
	} {
		var lags [engine.LagBuckets]uint64
		for i, n := range c.lags {
			lags[i] = n
		}
		if got := metrics.LagQuantile(lags, c.q); (got - c.want).Abs() > 1 {
			t.Errorf("%v of %v: %d ns, want %d", c.q, c.lags, got, c.want)
		}
	}
}
