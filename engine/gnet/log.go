package gnet

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/panjf2000/gnet/v2/pkg/logging"
)

// newLogger makes the logger that the options tell the default of gnet's package logging, as gnet
// does, and returns a logger for the engine that writes to it.
func newLogger(o *Options) (*slog.Logger, error) {
	switch {
	case o.Logger != nil:
		logging.SetDefaultLoggerAndFlusher(o.Logger, nil)
	case o.LogPath != "":
		logger, flush, err := logging.CreateLoggerAsLocalFile(o.LogPath, o.LogLevel)
		if err != nil {
			return nil, err
		}
		logging.SetDefaultLoggerAndFlusher(logger, flush)
	}
	if o.Logger == nil {
		o.Logger = logging.GetDefaultLogger()
	}
	return slog.New(&logHandler{logger: o.Logger}), nil
}

func (r *runner) logger() logging.Logger { return r.options.Logger }

// logHandler is a slog.Handler that writes to a logger of gnet.
type logHandler struct {
	logger logging.Logger
	group  string // ends with a dot, or is empty
	attrs  string // each begins with a space
}

// Enabled returns true: the logger decides.
func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle logs r.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	log := h.logger.Errorf
	switch {
	case r.Level < slog.LevelInfo:
		log = h.logger.Debugf
	case r.Level < slog.LevelWarn:
		log = h.logger.Infof
	case r.Level < slog.LevelError:
		log = h.logger.Warnf
	}
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	log("%s%s", r.Message, h.text(attrs))
	return nil
}

// text returns the attributes of h and attrs.
func (h *logHandler) text(attrs []slog.Attr) string {
	var b strings.Builder
	b.WriteString(h.attrs)
	for _, a := range attrs {
		fmt.Fprintf(&b, " %s%s=%v", h.group, a.Key, a.Value)
	}
	return b.String()
}

// WithAttrs returns a handler that logs attrs with each message.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{h.logger, h.group, h.text(attrs)}
}

// WithGroup returns a handler whose later attributes are named name.key.
func (h *logHandler) WithGroup(name string) slog.Handler {
	return &logHandler{h.logger, h.group + name + ".", h.attrs}
}
