package sim

import (
	"math"
	"math/rand/v2"
	"syscall"
	"time"
)

// Faults are the probabilities, from 0 to 1, of what may go wrong. The zero value is a benign
// network. If a call always fails, or an event always comes late, there may be no progress at all.
type Faults struct {
	SmallBuffer float64 // a socket buffer of 1 to 64 bytes, per buffer

	ShortRead   float64 // read(2) returns fewer bytes than there are
	ShortWrite  float64 // write(2) takes fewer bytes than would fit
	ReadAgain   float64 // EAGAIN although bytes are there
	WriteAgain  float64 // EAGAIN although there is room
	AcceptAgain float64 // EAGAIN although a connection is there
	Interrupt   float64 // EINTR of read, write and accept; drivers retry, so only Counts show it

	Reset     float64 // an established connection breaks at both sides; per connection and Poll
	HalfClose float64 // the client ends its direction by itself; per connection and Poll
	Delay     float64 // bytes or a FIN stay on the wire, up to MaxDelay

	Lose     float64 // a datagram from outside is lost
	Double   float64 // a datagram from outside comes twice
	Disorder float64 // a datagram from outside overtakes others

	Withhold         float64 // an event is left to a later Poll
	SpuriousWritable float64 // a Writable twice or without a reason, per registration
	Stale            float64 // an event of a connection that was closed a while ago, per Poll
	SpuriousWake     float64 // a Poll that would wait returns at once
	Again            float64 // a FIN is reported twice, by a poller that reads ahead

	NoFiles  float64 // EMFILE or ENFILE from accept(2), for up to MaxNoFiles
	Abort    float64 // ECONNABORTED from accept(2); the poller goes on
	NoMemory float64 // ENOMEM from Register and SetInterest

	Jump float64 // a Poll that waited returns up to MaxJump late
	// Stop lets up to MaxJump pass at the end of a Poll: a callback takes that long, or the process
	// is stopped. What comes meanwhile waits in the kernel.
	Stop float64

	BlackHole   float64 // nothing answers a Connect
	SelfConnect float64 // a Connect gets the port that it connects to, and so itself

	MaxDelay   time.Duration // 0: 50 ms
	MaxNoFiles time.Duration // 0: 200 ms
	MaxJump    time.Duration // 0: 10 s
	Tick       time.Duration // how long every Poll takes on the clock; 0: no time
	Batch      int           // how many events one Poll delivers at most; 0: 256
}

// Lossless returns f without what ends connections: every byte written must arrive.
func (f Faults) Lossless() Faults {
	f.Reset, f.HalfClose, f.Abort, f.NoMemory = 0, 0, 0, 0
	return f
}

// DrawFaults returns a different mix for each seed: each fault is off in half of them, and
// otherwise between rare and frequent.
func DrawFaults(seed uint64) Faults {
	rng := rand.New(rand.NewPCG(seed, 0x6661756c7473))
	// draw is log-uniform from highest/50 to highest.
	draw := func(highest float64) float64 {
		if rng.IntN(2) == 0 {
			return 0
		}
		return highest * math.Pow(50, -rng.Float64())
	}
	f := Faults{
		SmallBuffer: draw(1),

		ShortRead:   draw(0.7),
		ShortWrite:  draw(0.7),
		ReadAgain:   draw(0.4),
		WriteAgain:  draw(0.4),
		AcceptAgain: draw(0.4),
		Interrupt:   draw(0.2),

		Reset:     draw(0.01),
		HalfClose: draw(0.01),
		Delay:     draw(0.5),

		Lose:     draw(0.3),
		Double:   draw(0.3),
		Disorder: draw(0.5),

		Withhold:         draw(0.4),
		SpuriousWritable: draw(0.3),
		Stale:            draw(0.5),
		SpuriousWake:     draw(0.3),

		NoFiles:  draw(0.2),
		Abort:    draw(0.1),
		NoMemory: draw(0.05),

		Jump:  draw(0.05),
		Tick:  time.Duration(rng.IntN(3)) * time.Microsecond,
		Batch: []int{0, 1, 2, 8}[rng.IntN(4)],

		BlackHole:   draw(0.3),
		SelfConnect: draw(0.3),
	}
	f.Stop = draw(0.05)
	f.Again = draw(0.5)
	return f
}

// Counts is what a Network has done: system calls, and faults under their names in Faults.
type Counts struct {
	Polls, Wakes, Reads, Writes, Accepts, Closes int
	Waits                                        int // Polls that would have waited, or did
	Shortages                                    int // accepts that Config.Descriptors refused
	Yields                                       int

	ShortRead, ShortWrite, ReadAgain, WriteAgain, AcceptAgain, Interrupt int

	Reset, HalfClose, Delay                         int
	Lose, Double, Disorder                          int
	Withhold, SpuriousWritable, Stale, SpuriousWake int
	Again                                           int
	SmallBuffer, NoFiles, Abort, NoMemory           int
	Jump, Stop, BlackHole, SelfConnect              int
}

// Counts returns what has happened so far.
func (n *Network) Counts() Counts { return n.counts }

// SetFaults replaces the probabilities. Faults{} makes the network benign, so that a test can wait
// for what must happen in the end. An EMFILE episode ends at once.
func (n *Network) SetFaults(f Faults) {
	n.cfg.Faults = f
	n.noFiles = 0
}

// interrupted counts the EINTRs in front of a system call, which a driver retries.
func (n *Network) interrupted(at *place) {
	for n.hit(at, n.cfg.Faults.Interrupt, &n.counts.Interrupt) {
	}
}

func (n *Network) bufferSize(at *place) int {
	switch {
	case n.cfg.Buffer > 0:
		return n.cfg.Buffer
	case n.hit(at, n.cfg.Faults.SmallBuffer, &n.counts.SmallBuffer):
		return 1 + n.rng.IntN(64)
	}
	return defaultBuffer
}

func (n *Network) delay(p *pipe) {
	if n.hit(&p.place, n.cfg.Faults.Delay, &n.counts.Delay) {
		p.hold = max(p.hold, n.now+n.upTo(n.cfg.Faults.MaxDelay, 50*time.Millisecond))
	}
}

// disturb lets connections break between two polls.
func (n *Network) disturb() {
	for _, k := range n.links {
		if k.server.broken {
			continue
		}
		if n.hit(&k.place, n.cfg.Faults.Reset, &n.counts.Reset) {
			n.cut(k)
			continue
		}
		if !k.client.closed && !k.up.fin && n.hit(&k.place, n.cfg.Faults.HalfClose, &n.counts.HalfClose) {
			k.from.faulted = true
			n.shutdown(&k.client)
		}
	}
}

// cut breaks a connection in the middle, so that both sides see a RST.
func (n *Network) cut(k *link) {
	k.from.faulted = true
	n.reset(&k.client)
	k.client.err, k.client.reason = syscall.ECONNRESET, syscall.ECONNRESET
}
