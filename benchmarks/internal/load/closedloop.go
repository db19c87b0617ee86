package load

// closedLoop is a job that keeps depth messages in flight on each connection: it answers each reply
// by the next message.
type closedLoop struct {
	w     *worker
	depth int
	// sent has, if depth is more than 1, the times of the messages in flight: depth per connection,
	// a ring whose oldest is at conn.got.
	sent    []int64
	stopped bool // send no more
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

// arrived implements job. It reads the clock once for all replies that arrive together.
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
		for left := n; left > 0; { // record together what was sent together
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
