package nats

import (
	"time"
)

// announceSoon tells everything, but not too often.
func (p *presence) announceSoon() {
	if p.nextAnnounce.IsZero() {
		p.nextAnnounce = time.Now().Add(askAgain)
	}
}

// announceDue tells everything if it is time.
func (p *presence) announceDue(now time.Time) {
	if p.nextAnnounce.IsZero() || now.Before(p.nextAnnounce) {
		return
	}
	p.nextAnnounce = time.Time{}
	for _, r := range p.rooms {
		if r.version != 0 {
			p.sendState(p.subject(r), r)
		}
		if r.sub != nil {
			p.send(p.subject(r), notice{kind: noticeWho, topic: r.topic})
		}
	}
}

// turn does what is due.
func (p *presence) turn(now time.Time) {
	if !p.lastTurn.IsZero() && now.Sub(p.lastTurn) > pausedTime {
		// Others may be as alive as ever: what they said has not been read yet.
		for node := range p.nodes {
			p.nodes[node] = now
		}
		p.announceSoon()
	}
	p.lastTurn = now
	if now.After(p.nextAlive) {
		p.nextAlive = now.Add(aliveInterval)
		p.send(p.b.subject("alive", "all"), notice{kind: noticeAlive})
	}
	p.announceDue(now)
	for node, heard := range p.nodes {
		if now.Sub(heard) > aliveTimeout {
			p.gone(node)
		}
	}
	if due := p.due; len(due) > 0 {
		p.due = make(map[*room]struct{})
		for r := range due {
			p.attend(r, now)
		}
	}
	for range (len(p.order) + roundTurns - 1) / roundTurns {
		if p.next >= len(p.order) {
			p.next = 0
		}
		if p.next < len(p.order) {
			p.turnRoom(p.order[p.next], now)
			p.next++
		}
	}
}

// roundTurns is in how many turns each topic has one. There may be a hundred thousand, for which
// nothing is due as a rule.
const roundTurns = 50

// waits makes the next turn attend to a topic.
func (p *presence) waits(r *room) {
	if r.place >= 0 {
		p.due[r] = struct{}{}
	}
}

// attend does what a topic waits for, if it can be done.
func (p *presence) attend(r *room, now time.Time) {
	if r.place < 0 { // forgotten
		return
	}
	if r.sub == nil && !r.since.IsZero() {
		p.subscribe(r)
	}
	p.tellSink(r)
	p.answerWaiting(r, now)
	if len(r.waiting) > 0 {
		p.waits(r)
	}
}

// turnRoom tells the others that nothing has changed, and forgets nodes that have not done so.
func (p *presence) turnRoom(r *room, now time.Time) {
	for id, n := range r.nodes {
		if id != p.b.node && now.Sub(n.heard) > digestTimeout {
			p.dropNode(r, id)
		}
	}
	if r.version != 0 && now.After(r.nextDigest) {
		r.nextDigest = now.Add(jitter(digestInterval))
		p.send(p.subject(r), notice{kind: noticeDigest, topic: r.topic, version: r.version})
		p.release(r)
	}
}
