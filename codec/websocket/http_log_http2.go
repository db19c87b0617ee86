package websocket

import (
	"log"
	"log/slog"
	"strings"
	"time"
)

// http2Log takes what net/http has to log about HTTP/2. Clients can cause most of that as often as
// they like, such as by GOAWAY, again and again: so it is logged no more often than
// refusalInterval. Panics of the Handler are logged as over HTTP/1.
type http2Log struct{ limit refusalLog }

// Write implements io.Writer. It gets one message.
func (l *http2Log) Write(message []byte) (int, error) {
	text := strings.TrimSpace(string(message))
	if strings.HasPrefix(text, "http2: panic ") {
		log.Print(text)
	} else if n, ok := l.limit.due(time.Now()); ok {
		slog.Warn("websocket: net/http", "message", text, "count", n)
	}
	return len(message), nil
}
