package load

// closedLoop keeps depth messages under way on each connection: each reply is answered by the next message.
type closedLoop struct {
	w       *worker
	depth   int
	sent    []int64 // depth times per connection, if that is more than one: a ring, the oldest one at conn.got
	stopped bool    // what is under way may come in, and no more is sent
}

func (w *worker) newClosedLoop(depth int) *closedLoop {
	j := &closedLoop{w: w, depth: depth}
	if depth > 1 {
		j.sent = make([]int64, len(w.conns)*depth)
	}
	return j
}

// start sends the first messages.
func (j *closedLoop) start() {
	for _, c := range j.w.conns {
		c.at = j.w.session.now()
		for i := range j.ring(c) {
			j.ring(c)[i] = c.at
		}
		j.w.session.message.send(c.c, j.depth)
	}
}

func (j *closedLoop) ring(c *conn) []int64 {
	if j.depth == 1 {
		return nil
	}
	return j.sent[int(c.index)*j.depth:][:j.depth]
}

// arrived implements job. The clock is read once for all that has come at once.
func (j *closedLoop) arrived(c *conn, n int) error {
	w := j.w
	w.messages += uint64(n)
	if n > j.depth {
		return w.tooMany(n)
	}
	if j.stopped {
		return nil
	}
	now := w.session.now()
	if j.depth == 1 {
		record(w.latency, now-c.at)
		c.at = now
	} else {
		ring, at := j.ring(c), int(c.got)
		for left := n; left > 0; { // what was sent together is recorded together
			sent, run := ring[at], 0
			for run < left && ring[at] == sent {
				ring[at] = now
				run++
				if at++; at == len(ring) {
					at = 0
				}
			}
			recordAll(w.latency, now-sent, run)
			left -= run
		}
		c.got = uint32(at)
	}
	w.session.message.send(c.c, n)
	return nil
}

// lost implements job.
func (j *closedLoop) lost(*conn) {}
