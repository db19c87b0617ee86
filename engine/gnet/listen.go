package gnet

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"strings"
	"sync"
	"syscall"

	"github.com/panjf2000/gnet/v2/pkg/errors"
	"github.com/panjf2000/gnet/v2/pkg/socket"

	"github.com/myriadnet/myriad/engine"
)

// listener is an address that a runner serves: exactly one of stream and packet is set.
type listener struct {
	network, address string // as given to Run
	stream           *engine.Listener
	packet           *engine.PacketListener

	mu   sync.Mutex
	copy int // of a datagram socket's descriptor; -1: none
}

// parseAddr takes an address like tcp://127.0.0.1:9000 or unix:///run/socket apart.
func parseAddr(addr string) (network, address string, err error) {
	// It may have the zone of an IPv6 address.
	u, err := url.Parse(strings.ReplaceAll(addr, "%", "%25"))
	if err != nil {
		return "", "", err
	}
	switch u.Scheme {
	case "":
		return "", "", errors.ErrInvalidNetworkAddress
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
		if u.Path != "" {
			return "", "", errors.ErrInvalidNetworkAddress
		}
		address = u.Host
	case "unix":
		address = path.Join(u.Host, u.Path)
	default:
		return "", "", errors.ErrUnsupportedProtocol
	}
	if address == "" {
		return "", "", errors.ErrInvalidNetworkAddress
	}
	return u.Scheme, address, nil
}

// listen opens a listener.
func (r *runner) listen(addr string) error {
	network, address, err := parseAddr(addr)
	if err != nil {
		return fmt.Errorf("%w: %q", err, addr)
	}
	l := &listener{network: network, address: address, copy: -1}
	if strings.HasPrefix(network, "udp") {
		err = r.listenPacket(l)
	} else {
		err = r.listenStream(l)
	}
	if err != nil {
		l.closeCopy()
		return err
	}
	r.listeners = append(r.listeners, l)
	return nil
}

func (r *runner) listenStream(l *listener) error {
	o, tcp := r.options, l.network != "unix"
	lc := engine.ListenConfig{
		PerLoop:     o.ReusePort && tcp && spreads,
		ReadBuffer:  o.SocketRecvBuffer,
		WriteBuffer: o.SocketSendBuffer,
		Control: r.control(func(fd int) error {
			if tcp && o.TCPKeepAlive > 0 && inheritsKeepAlive {
				return r.setKeepAlive(fd)
			}
			return nil
		}),
	}
	lc.PlaceByAddress = o.LB == SourceAddrHash && tcp && !lc.PerLoop
	var local net.Addr // set before the engine runs
	ln, err := lc.Listen(r.engine, l.network, l.address, func(ec *engine.Conn) engine.Protocol {
		remote := net.Addr(&net.UnixAddr{Net: "unix"})
		if tcp {
			remote = net.TCPAddrFromAddrPort(ec.RemoteAddr())
		}
		r.setOptions(ec, remote, true)
		return (*protocol)(r.open(ec, local, remote, nil))
	})
	if err != nil {
		return err
	}
	if local = net.Addr(&net.UnixAddr{Name: l.address, Net: "unix"}); tcp {
		local = net.TCPAddrFromAddrPort(ln.Addr())
	}
	l.stream = ln
	return nil
}

func (r *runner) listenPacket(l *listener) error {
	group, err := net.ResolveUDPAddr(l.network, l.address)
	if err != nil {
		return err
	}
	ifname := ""
	if group.IP.IsMulticast() && r.options.MulticastInterfaceIndex > 0 {
		i, err := net.InterfaceByIndex(r.options.MulticastInterfaceIndex)
		if err != nil {
			return err
		}
		ifname = i.Name
	}
	pc := r.packetConfig()
	pc.Control = r.control(l.keepCopy)
	pc.PerLoop = spreads && r.engine.Loops() > 1 || r.options.ReusePort
	var local net.Addr // set before the engine runs
	l.packet, err = pc.Listen(r.engine, l.network, l.address, func(p *engine.PacketConn) engine.PacketProtocol {
		if group.IP.IsMulticast() {
			if err := p.JoinGroup(unmapped(group.AddrPort()).Addr(), ifname); err != nil {
				r.logger().Errorf("join %v: %v", group, err)
			}
		}
		return &packets{r: r, p: p, local: local}
	})
	if err == nil {
		local = net.UDPAddrFromAddrPort(l.packet.Addr())
	}
	return err
}

func (r *runner) packetConfig() engine.PacketConfig {
	return engine.PacketConfig{
		ReadBuffer:  r.options.SocketRecvBuffer,
		WriteBuffer: r.options.SocketSendBuffer,
	}
}

// control returns a Control function that binds a socket to Options.BindToDevice and calls set.
func (r *runner) control(set func(fd int) error) func(_, _ string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		failed := c.Control(func(fd uintptr) {
			if device := r.options.BindToDevice; device != "" {
				err = socket.SetBindToDevice(int(fd), device)
			}
			if err == nil {
				err = set(int(fd))
			}
		})
		if failed != nil {
			return failed
		}
		return err
	}
}

// setKeepAlive sets the probes of Options.TCPKeepAlive.
func (r *runner) setKeepAlive(fd int) error {
	idle, interval, count := r.options.TCPKeepAlive, r.options.TCPKeepInterval, r.options.TCPKeepCount
	if interval == 0 {
		interval = idle / 5
	}
	if count == 0 {
		count = 5
	}
	return socket.SetKeepAlive(fd, true, int(idle.Seconds()), int(interval.Seconds()), count)
}

// spreads reports whether the kernel spreads peers over sockets with SO_REUSEPORT.
var spreads = inheritsKeepAlive // the same systems do
