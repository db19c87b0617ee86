package main

import (
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
	"github.com/myriadnet/myriad/benchmarks/internal/servers"
)

// planned is a row to measure.
type planned struct {
	results.Row
	tcp     bool    // plain TCP servers take part
	stretch float64 // factor of the time to measure; 1 when 0
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

func echo(conns, size, inFlight int) planned {
	return planned{Row: results.Row{Kind: load.Echo, Conns: conns, Size: size, InFlight: inFlight}}
}

// paced is a row at a fixed rate. It is measured for longer, because its percentiles count.
func paced(conns, size int, rate float64) planned {
	p := echo(conns, size, 1)
	p.Rate, p.stretch = rate, 3.2
	return p
}

// long measures a row for longer: one whose messages take so long that few would be measured.
func long(p planned) planned {
	p.stretch = 1.6
	return p
}

func compressed(conns, size int) planned {
	p := echo(conns, size, 1)
	p.Compress = true
	return p
}

func secure(p planned) planned {
	p.TLS = true
	return p
}

func other(kind load.Kind, conns, size, inFlight int) planned {
	return planned{Row: results.Row{Kind: kind, Conns: conns, Size: size, InFlight: inFlight}}
}

func withTCP(p planned) planned {
	p.tcp = true
	return p
}

// full is the whole matrix.
var full = []planned{
	withTCP(echo(1, 32, 1)), echo(1, 64*kib, 1), echo(1, mib, 1), echo(1, 32, 16), echo(1, 64*kib, 16),
	withTCP(echo(100, 32, 1)), echo(100, kib, 1), withTCP(echo(100, 64*kib, 1)), long(withTCP(echo(100, mib, 1))),
	withTCP(echo(100, 128, 16)), echo(100, kib, 16), echo(100, 64*kib, 16),
	echo(1000, 32, 1), withTCP(echo(1000, kib, 1)), long(echo(1000, 64*kib, 1)),
	echo(1000, 32, 16), echo(1000, kib, 16),
	long(withTCP(echo(10000, 32, 1))), long(echo(10000, 32, 16)),
	paced(100, kib, 10_000), withTCP(paced(1000, 32, 40_000)),
	compressed(100, kib), compressed(100, 64*kib),
	secure(echo(100, 32, 1)), secure(echo(100, 64*kib, 1)),
	other(load.Broadcast, 1000, 32, 1), other(load.Broadcast, 1000, kib, 1), long(other(load.Broadcast, 10000, 32, 1)),
	withTCP(other(load.Idle, 10000, 0, 1)),
	other(load.Storm, 15000, 0, 1),
	other(load.Churn, 0, 32, 16),
}

// quick is the part of the matrix that -quick measures.
var quick = []planned{
	echo(1, 32, 1), withTCP(echo(100, 32, 1)), withTCP(echo(1000, kib, 1)),
	withTCP(echo(100, 128, 16)), withTCP(echo(100, 64*kib, 1)),
	long(echo(10000, 32, 1)), paced(1000, 32, 40_000), compressed(100, kib), secure(echo(100, 32, 1)),
	other(load.Broadcast, 1000, 32, 1),
	withTCP(other(load.Idle, 10000, 0, 1)), other(load.Storm, 15000, 0, 1), other(load.Churn, 0, 32, 16),
}

// leftOut lists combinations that are not in the matrix.
var leftOut = []string{
	"1 MiB with 1,000 connections or more: 1 GiB to 10 GiB in flight tests the host's memory, and\n" +
		"  exceeds the kernel's limit of memory for sockets (tcp_mem).",
	"1 MiB with 16 in flight: with 1 connection the socket buffers, which hold less than one message,\n" +
		"  are the limit, so it is the same as 1 in flight. With 100 connections 1.6 GiB are in flight.",
	"64 KiB with 10,000 connections, or with 1,000 connections and 16 in flight: 0.6 GiB and more are\n" +
		"  in flight, and all connections together take longer for a message than the measurement lasts.",
	"1 KiB with 1 connection or 10,000: between 32 B and 64 KiB with 1, and with 10,000 what many\n" +
		"  connections cost shows with 32 B. 32 B and 16 in flight with 100: 128 B are nearly the same.",
	"nbio's mixed mode with up to 10,000 connections: there it is its mode with goroutines.",
	"Plain TCP servers in all rows: they take part in some of the echo rows and in the idle one. They\n" +
		"  have no handshake and no compression. The floor is in all rows.",
	"More than 15,000 connections: a machine allows 20,000 descriptors per process without special\n" +
		"  settings. For a million connections see `benchmarks/million`.",
}

// wanted returns what the row asks of a server.
func (p planned) wanted() servers.Wanted {
	return servers.Wanted{Broadcast: p.Kind == load.Broadcast, Compress: p.Compress, TLS: p.TLS}
}

// duration returns how long a row is measured.
func (p planned) duration(s results.Settings) time.Duration {
	d := s.Seconds
	if p.stretch > 0 {
		d *= p.stretch
	}
	return time.Duration(d * float64(time.Second))
}

// cost estimates how long a cell takes: starting the processes, opening and closing the
// connections, warm-up and measurement.
func (p planned) cost(s results.Settings) time.Duration {
	const start, perConn = 250 * time.Millisecond, 120 * time.Microsecond
	d := start + time.Duration(p.Conns)*perConn
	if p.Kind != load.Storm {
		d += time.Duration(s.WarmUp*float64(time.Second)) + p.duration(s)
	}
	return d
}
