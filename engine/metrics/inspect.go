package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// Bounds and defaults of Inspect's query.
const (
	defaultPeriod, maxPeriod = time.Second, 10 * time.Second
	defaultTop, maxTop       = 10, 100
)

// Inspect is an http.Handler that watches e for a while and shows its loops and their busiest connections: a table for
// browsers (Accept with text/html), and the JSON form of Inspection for everybody else.
//
// The query may have period, a duration of 1ms to 10s ("500ms"; default 1s), and top, how many connections of each loop are
// shown, 0 to 100 (default 10). A bad value is answered with 400, a method other than GET with 405, and an engine that has
// ended, or whose loops do not answer, with 503.
//
// The answer comes when the period is over; meanwhile each read and write costs the loops an addition. Inspections of one
// engine take their turns, each request waiting for 10 seconds at most in addition to its period: a WriteTimeout of the
// http.Server should leave room for it. The handler may be used from any goroutine but the engine's loops.
//
// It tells the addresses of peers and the types of a program: put it behind authentication, or on a port that only those who
// run the program reach.
func Inspect(e *engine.Engine) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "want GET", http.StatusMethodNotAllowed)
			return
		}
		period, top, err := parseQuery(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), period+maxPeriod)
		defer cancel()
		found, err := e.Inspect(ctx, period, top)
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		answer(w, r, FromInspection(found))
	})
}

func parseQuery(q url.Values) (period time.Duration, top int, err error) {
	period, top = defaultPeriod, defaultTop
	if s := q.Get("period"); s != "" {
		if period, err = time.ParseDuration(s); err != nil || period < time.Millisecond || period > maxPeriod {
			return 0, 0, fmt.Errorf("period=%q: want a duration of 1ms to %v, such as 500ms", s, maxPeriod)
		}
	}
	if s := q.Get("top"); s != "" {
		if top, err = strconv.Atoi(s); err != nil || top < 0 || top > maxTop {
			return 0, 0, fmt.Errorf("top=%q: want a number from 0 to %d", s, maxTop)
		}
	}
	return period, top, nil
}

// answer writes what was found. It is made as a whole before the first byte goes out, so that a failure can still be told.
func answer(w http.ResponseWriter, r *http.Request, found Inspection) {
	var b bytes.Buffer
	var err error
	contentType := "application/json"
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		contentType = "text/html; charset=utf-8"
		writePage(&b, found)
	} else {
		pretty := json.NewEncoder(&b)
		pretty.SetIndent("", "  ")
		err = pretty.Encode(found)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Vary", "Accept")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Write(b.Bytes()) // an error says that nobody is there to be told
}
