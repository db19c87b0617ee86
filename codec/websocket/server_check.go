package websocket

import (
	"errors"
	"fmt"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
)

// Check returns an error if a field of s makes no sense: a malformed pattern in Origins or host in
// Hosts, a subprotocol that is not a token, a compression level out of range, Proxies that trust
// nobody. ListenAndServe and
// Mux call it. Accept of such a Server panics, and its Upgrade fails.
func (s *Server) Check() error {
	if s.CheckOrigin != nil && len(s.Origins) > 0 {
		return errors.New("websocket: Server has both Origins and CheckOrigin")
	}
	if err := nethttp.CheckOrigins(s.Origins); err != nil {
		return fmt.Errorf("websocket: Server.Origins: %w", err)
	}
	if err := nethttp.CheckHosts(s.Hosts); err != nil {
		return fmt.Errorf("websocket: Server.Hosts: %w", err)
	}
	if err := nethttp.CheckSubprotocols(s.Subprotocols); err != nil {
		return fmt.Errorf("websocket: Server.Subprotocols: %w", err)
	}
	if err := s.Proxies.Check(); err != nil {
		return fmt.Errorf("websocket: Server.Proxies: %w", err)
	}
	if err := s.Rate.check(); err != nil {
		return fmt.Errorf("websocket: Server.Rate: %w", err)
	}
	return checkCompression(s.Compression)
}

func checkCompression(c *Compression) error {
	if c == nil {
		return nil
	}
	for _, f := range [...]struct {
		name             string
		value, low, high int
	}{
		{"Level", c.Level, 1, 9},
		{"ServerWindowBits", c.ServerWindowBits, 8, 15},
		{"ClientWindowBits", c.ClientWindowBits, 8, 15},
	} {
		if f.value != 0 && (f.value < f.low || f.value > f.high) {
			return fmt.Errorf("websocket: Compression.%s is %d, not from %d to %d", f.name, f.value, f.low, f.high)
		}
	}
	return nil
}
