package engine

import "github.com/myriadnet/myriad/engine/quota"

// place takes a new connection from loop l to the one that is to serve it; it stays on l if l or that loop is ending.
func (e *Engine) place(fd int, ln *Listener, client *quota.Client, l *loop) {
	to := l
	if !l.stopping {
		to = e.choose(fd, ln, l)
	}
	to.load.Add(1)
	if to != l {
		n := newTask(adoptTask)
		n.Value.fd, n.Value.listener, n.Value.client = fd, ln, client
		if to.push(n) == nil {
			return
		}
		l.load.Add(1)
	}
	l.adopt(fd, ln, client, nil)
}

// choose is the loop for a new connection: the one that has the fewest, l if that has no more.
func (e *Engine) choose(fd int, ln *Listener, l *loop) *loop {
	if ln.config.FollowCPU && len(e.config.CPUs) > 0 {
		cpu := l.driver.IncomingCPU(fd)
		for i, o := range e.loops {
			if e.config.CPUs[i%len(e.config.CPUs)] == cpu {
				return o
			}
		}
	}
	if o := e.leastLoaded(); o.load.Load() < l.load.Load() {
		return o
	}
	return l
}

// leastLoaded is the loop with the fewest connections.
func (e *Engine) leastLoaded() *loop {
	to := e.loops[0]
	for _, o := range e.loops[1:] {
		if o.load.Load() < to.load.Load() {
			to = o
		}
	}
	return to
}
