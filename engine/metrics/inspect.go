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

// Defaults and limits of Inspect's query.
const (
	defaultPeriod, maxPeriod = time.Second, 10 * time.Second
	defaultTop, maxTop       = 10, 100
)

// Inspect returns a handler that watches e for a while and shows its loops and their busiest
// connections: as a page if the request accepts text/html, as the JSON form of Inspection
// otherwise.
//
// The query may contain period, how long to watch, from 1ms to 10s (default 1s), and top, how many
// connections of each loop to show, from 0 to 100 (default 10). The status is 400 for a bad value,
// 405 for a method other than GET, and 503 if the engine has ended or a loop does not answer.
//
// The response is written when the period is over. While an inspection is under way, each read and
// write costs the loops an addition. Inspections of one engine wait for one another: a request
// takes up to 10 seconds in addition to its period, so leave room for that in
// http.Server.WriteTimeout. Do not call the handler on a loop of e.
//
// The handler reveals addresses of peers and names of types. Put it behind authentication, or on a
// port that only operators can reach.
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

// answer writes what was found. It encodes all of it before it writes, so that an error can still
// have a status.
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
	w.Write(b.Bytes()) // an error means that the client has left
}
