package main

import (
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/load"
	"github.com/myriadnet/myriad/benchmarks/internal/results"
)

// planned is a row that is to be measured.
type planned struct {
	results.Row
	tcp     bool    // plain TCP servers take part, too
	stretch float64 // how many times as long as other rows it is measured; 1 when 0
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

func echo(conns, size, inFlight int) planned {
	return planned{Row: results.Row{Kind: load.Echo, Conns: conns, Size: size, InFlight: inFlight}}
}

func paced(conns, size int, rate float64) planned {
	p := echo(conns, size, 1)
	p.Rate, p.stretch = rate, 2
	return p
}

func compressed(conns, size int) planned {
	p := echo(conns, size, 1)
	p.Compress = true
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
	withTCP(echo(1, 32, 1)), echo(1, kib, 1), echo(1, 64*kib, 1), echo(1, mib, 1),
	echo(1, 32, 16), echo(1, kib, 16), echo(1, 64*kib, 16),
	withTCP(echo(100, 32, 1)), echo(100, kib, 1), withTCP(echo(100, 64*kib, 1)), withTCP(echo(100, mib, 1)),
	echo(100, 32, 16), withTCP(echo(100, 128, 16)), echo(100, kib, 16), echo(100, 64*kib, 16),
	echo(1000, 32, 1), withTCP(echo(1000, kib, 1)), echo(1000, 64*kib, 1),
	echo(1000, 32, 16), echo(1000, kib, 16),
	withTCP(echo(10000, 32, 1)), echo(10000, kib, 1), echo(10000, 32, 16), echo(10000, kib, 16),
	paced(100, kib, 10_000), paced(1000, 32, 40_000),
	compressed(100, kib), compressed(100, 64*kib),
	other(load.Broadcast, 1000, 32, 1), other(load.Broadcast, 1000, kib, 1),
	other(load.Broadcast, 10000, 32, 1), other(load.Broadcast, 10000, kib, 1),
	withTCP(other(load.Idle, 10000, 0, 1)),
	other(load.Storm, 15000, 0, 1),
	other(load.Churn, 0, 32, 16),
}

// quick is what -quick measures of it.
var quick = []planned{
	echo(1, 32, 1), withTCP(echo(100, 32, 1)), withTCP(echo(1000, kib, 1)), withTCP(echo(100, 128, 16)), withTCP(echo(100, 64*kib, 1)),
	echo(10000, 32, 1), paced(1000, 32, 40_000), compressed(100, kib), other(load.Broadcast, 1000, 32, 1),
	withTCP(other(load.Idle, 10000, 0, 1)), other(load.Storm, 15000, 0, 1), other(load.Churn, 0, 32, 16),
}

// leftOut are the combinations of the matrix that are not measured.
var leftOut = []string{
	"1 MiB with 1,000 connections or more, with 1 in flight already: 1 GiB to 10 GiB under way is a test of the host's memory, and the kernel's limit of memory for sockets (tcp_mem) stops it.",
	"1 MiB with 16 in flight: with 1 connection the socket buffers, which hold less than one message, are the limit, so that it is the row with 1 in flight again; with 100 connections it is 1.6 GiB under way.",
	"64 KiB with 10,000 connections, or with 1,000 connections and 16 in flight: 0.6 GiB and more under way, in which a round of all connections takes longer than the measurement.",
	"Plain TCP servers have only some of the echo rows and the idle one; a broadcast, a handshake and compression they do not have. The floor is in every row.",
	"More than 15,000 connections: 20,000 descriptors per process are what a machine allows without settings of its own. The million is a command of its own, `benchmarks/million`.",
}

// duration is how long a row is measured.
func (p planned) duration(s results.Settings) time.Duration {
	d := s.Seconds
	if p.stretch > 0 {
		d *= p.stretch
	}
	return time.Duration(d * float64(time.Second))
}

// cost is about how long a cell takes: the processes' start, opening and closing the connections, warm-up and measurement.
func (p planned) cost(s results.Settings) time.Duration {
	const start, perConn = 250 * time.Millisecond, 120 * time.Microsecond
	d := start + time.Duration(p.Conns)*perConn
	if p.Kind != load.Storm {
		d += time.Duration(s.WarmUp*float64(time.Second)) + p.duration(s)
	}
	return d
}
