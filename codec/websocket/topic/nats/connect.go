package nats

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// dialer counts the connections before they are used.
type dialer struct {
	net.Dialer
	b *Broker
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.b.generation.Add(1)
	return d.Dialer.DialContext(d.b.ctx, network, address)
}

// connect reports whether there is a connection. It need not be connected yet.
func (b *Broker) connect() bool {
	nc := b.Conn
	if nc == nil {
		var err error
		options := append([]nats.Option{
			nats.Name("myriad topics " + b.node),
			nats.MaxReconnects(-1),
			nats.IgnoreAuthErrorAbort(), // or it would be closed for good after two
			nats.ReconnectWait(100 * time.Millisecond),
			nats.ReconnectJitter(200*time.Millisecond, 200*time.Millisecond),
			nats.ReconnectBufSize(-1), // the queue is ours
			nats.RetryOnFailedConnect(true),
			nats.PingInterval(time.Second),
			nats.MaxPingsOutstanding(3),
			nats.FlusherTimeout(3 * time.Second),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				b.cfg.log.Warn("nats: error of the connection", "error", err)
			}),
			nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { b.note("not connected", err) }),
			nats.SetCustomDialer(&dialer{Dialer: net.Dialer{Timeout: 2 * time.Second}, b: b}),
		}, b.Options...)
		if nc, err = nats.Connect(b.cfg.url, options...); err != nil {
			b.failed("not connected", err)
			return false
		}
	}
	previous := nc.ErrorHandler()
	nc.SetErrorHandler(func(nc *nats.Conn, sub *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrSlowConsumer) && sub != nil && b.slow(sub) {
			return
		}
		if previous != nil {
			previous(nc, sub, err)
		}
	})
	b.nc.Store(nc)
	if err := b.listen(nc); err != nil {
		b.failed("no subscriptions", err)
		return false
	}
	return true
}

// listen subscribes to what is not a topic's.
func (b *Broker) listen(nc *nats.Conn) (err error) {
	k, inbox := &b.keeper, b.asks.inbox
	if k.inbox, err = nc.Subscribe(inbox+".r.*", b.asks.answer); err != nil {
		return err
	}
	if k.acks, err = nc.Subscribe(inbox+".a.*", b.acknowledged); err != nil {
		return err
	}
	// A new leader may have republished nothing of what the old one had stored last.
	k.elected, err = nc.Subscribe("$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED."+b.cfg.stream,
		func(*nats.Msg) { k.checkNow() })
	if err != nil {
		return err
	}
	return b.listenPresence(nc)
}

// disconnect ends what listen and connect began.
func (b *Broker) disconnect(nc *nats.Conn) {
	if b.Conn == nil {
		nc.Close()
		return
	}
	for _, s := range []*nats.Subscription{b.keeper.inbox, b.keeper.acks, b.keeper.elected} {
		if s != nil {
			_ = s.Unsubscribe()
		}
	}
	b.topics.unsubscribeAll()
	b.presence.unsubscribeAll()
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	_ = nc.FlushWithContext(ctx)
}
