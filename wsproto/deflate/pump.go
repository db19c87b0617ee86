package deflate

// pump runs a function on a goroutine of its own, which goes on only while a caller waits for its
// next piece: like iter.Pull, whose coroutines end the process if runtime.LockOSThread was called
// where they are made and not where they are used, or the other way round. A connection may be used
// by any goroutine.
type pump struct {
	run      func(yield func(piece []byte) bool)
	goOn     chan bool // false: run is to return
	pieces   chan []byte
	begun    bool
	ended    bool
	panicked any // by run
}

func newPump(run func(yield func(piece []byte) bool)) *pump {
	return &pump{run: run, goOn: make(chan bool), pieces: make(chan []byte)}
}

// next returns the next piece. ok is false when run has returned. It panics if run has.
func (p *pump) next() (piece []byte, ok bool) {
	switch {
	case p.ended:
		return nil, false
	case p.begun:
		p.goOn <- true
	default:
		p.begun = true
		go p.work()
	}
	if piece, ok = <-p.pieces; !ok {
		p.end()
	}
	return piece, ok
}

// stop makes run return, if it has not.
func (p *pump) stop() {
	if p.begun && !p.ended {
		p.goOn <- false
		<-p.pieces
		p.end()
	}
	p.ended = true
}

func (p *pump) end() {
	p.ended = true
	if p.panicked != nil {
		panic(p.panicked)
	}
}

func (p *pump) work() {
	defer close(p.pieces)
	defer func() { p.panicked = recover() }()
	stopped := false
	p.run(func(piece []byte) bool {
		if !stopped {
			p.pieces <- piece
			stopped = !<-p.goOn
		}
		return !stopped
	})
}
