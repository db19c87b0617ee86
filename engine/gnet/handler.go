package gnet

import (
	"time"

	"github.com/panjf2000/gnet/v2"
)

// EventHandler is gnet.EventHandler, with the Engine of this package.
type EventHandler interface {
	// OnBoot is called before the loops run, when the listeners are open.
	OnBoot(e Engine) Action
	// OnShutdown is called when the engine begins to end, before connections are closed.
	OnShutdown(e Engine)
	// OnOpen is called for a new connection. out is sent to the peer.
	OnOpen(c Conn) (out []byte, action Action)
	// OnClose is called once for each connection of OnOpen, when it is decided that it closes. err
	// is nil unless the peer or an error has closed it. What OnClose writes is still sent if the
	// peer can take it.
	OnClose(c Conn, err error) Action
	// OnTraffic is called when bytes have arrived, or a datagram. Bytes that it does not read are
	// there again in the next call, with more behind them.
	OnTraffic(c Conn) Action
	// OnTick is called with Options.Ticker, on a goroutine of its own: first when the loops run,
	// and then each time after delay.
	OnTick() (delay time.Duration, action Action)
}

// BuiltinEventEngine is an EventHandler whose methods do nothing. Embed it to implement only some
// of them.
type BuiltinEventEngine struct{}

// OnBoot does nothing.
func (*BuiltinEventEngine) OnBoot(Engine) Action { return None }

// OnShutdown does nothing.
func (*BuiltinEventEngine) OnShutdown(Engine) {}

// OnOpen does nothing.
func (*BuiltinEventEngine) OnOpen(Conn) ([]byte, Action) { return nil, None }

// OnClose does nothing.
func (*BuiltinEventEngine) OnClose(Conn, error) Action { return None }

// OnTraffic does nothing.
func (*BuiltinEventEngine) OnTraffic(Conn) Action { return None }

// OnTick does nothing.
func (*BuiltinEventEngine) OnTick() (time.Duration, Action) { return 0, None }

// Adapt returns an EventHandler that calls h. The gnet.Engine that h gets is empty: its methods
// return ErrEmptyEngine of gnet's package errors. A handler that needs the engine should use the
// Engine of this package.
func Adapt(h gnet.EventHandler) EventHandler { return adapted{h} }

type adapted struct{ gnet.EventHandler }

func (a adapted) OnBoot(Engine) Action { return a.EventHandler.OnBoot(gnet.Engine{}) }
func (a adapted) OnShutdown(Engine)    { a.EventHandler.OnShutdown(gnet.Engine{}) }
