package engine

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
)

// lookUp looks up the name, on a goroutine of its own.
func (d *dialing) lookUp() {
	var addrs []netip.Addr
	err := errors.New("the look-up has ended its goroutine")
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
		d.loop.do(func() { d.resolved(addrs, err) }) // an error means that d is over
	}()
	look := d.config.LookupNetIP
	if look == nil {
		look = net.DefaultResolver.LookupNetIP
	}
	addrs, err = look(d.ctx, "ip"+strings.TrimPrefix(d.network, "tcp"), d.host)
}

// resolved begins the attempts at the addresses that were found.
func (d *dialing) resolved(addrs []netip.Addr, err error) {
	if d.over {
		return
	}
	if d.ctx.Err() != nil { // which explains more than a resolver does
		err = context.Cause(d.ctx)
	}
	if err == nil {
		addrs = suitable(addrs, d.network, d.config.LocalAddr.Addr())
		if !d.alone() {
			addrs = interleave(addrs)
		}
		if len(addrs) == 0 {
			err = &net.AddrError{Err: "no suitable address", Addr: d.host}
		}
	}
	if err != nil {
		d.fail(err)
		return
	}
	for _, a := range addrs {
		d.addresses = append(d.addresses, netip.AddrPortFrom(a, d.port).String())
	}
	d.next()
}

// suitable returns the addresses that network allows, and of those only the ones of local's family
// if there are any.
func suitable(addrs []netip.Addr, network string, local netip.Addr) []netip.Addr {
	var all, same []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if network == "tcp4" && !a.Is4() || network == "tcp6" && !a.Is6() {
			continue
		}
		all = append(all, a)
		if local.IsValid() && local.Unmap().Is4() == a.Is4() {
			same = append(same, a)
		}
	}
	if len(same) > 0 {
		return same
	}
	return all
}

// interleave makes the families take turns, beginning with that of the first address: RFC 8305
// section 4, with a First Address Family Count of 1.
func interleave(addrs []netip.Addr) []netip.Addr {
	var families [2][]netip.Addr
	for _, a := range addrs {
		i := 0
		if a.Is4() != addrs[0].Is4() {
			i = 1
		}
		families[i] = append(families[i], a)
	}
	all := make([]netip.Addr, 0, len(addrs))
	for i := range addrs {
		for _, f := range families {
			if i < len(f) {
				all = append(all, f[i])
			}
		}
	}
	return all
}
