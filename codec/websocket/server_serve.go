package websocket

import (
	"context"
	"net/http"

	"github.com/myriadnet/myriad/engine"
)

// ListenAndServe listens on the TCP address addr and serves connections until ctx ends; then it
// closes them in order and returns nil. It makes an engine of its own, with the defaults of
// engine.Config: for others, and for more than one Server per engine, use Accept. The error is that
// of Check, or what keeps the engine from listening or from ending in order.
//
// When ctx ends, as whenever an engine shuts down, each peer gets close code GoingAway (1001)
// behind what was sent before. Once it has acknowledged that, it has a second for its answer, or
// CloseTimeout if that is less. Handshakes that are deferred get status 503. After
// engine.Config.ShutdownTimeout, 4 s by default, the peers that are left are cut, even within a
// message; the error then says how many. For requests to the Handler see there.
func (s *Server) ListenAndServe(ctx context.Context, addr string) error {
	if err := s.Check(); err != nil {
		return err
	}
	return listenAndServe(ctx, addr, s.Accept)
}

func listenAndServe(ctx context.Context, addr string, accept func(*engine.Conn) engine.Protocol) error {
	e, err := engine.New(engine.Config{})
	if err != nil {
		return err
	}
	if _, err := e.Listen("tcp", addr, accept); err != nil {
		e.Close()
		return err
	}
	return e.Run(ctx)
}

// ServeHTTP implements http.Handler by Upgrade to the Engine. Requests that are not opening
// handshakes go to the Handler, if there is one.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Engine == nil {
		panic("websocket: ServeHTTP of a Server without an Engine")
	}
	if _, err := s.prepare(); err == nil && s.Handler != nil {
		if raw, err := s.asked(r); err == nil && raw == nil {
			s.Handler.ServeHTTP(w, r)
			return
		}
	}
	s.Upgrade(s.Engine, w, r) // which has answered in any case
}
