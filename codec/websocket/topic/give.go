package topic

// give puts an item into the inbox of a loop. If too much waits there, the loop has missed what
// came after before, and asks for it when it has come so far.
func (t *topic) give(i *interest, it item, before Position) {
	it.entry = i.entry
	f := i.behind
	switch {
	case f == nil:
	case f.asking && it.kind == itemMessage:
		f.hold(it.m)
		return
	case f.asking, f.waits:
		f.cut = true
		f.unsure = f.unsure || it.kind == itemPresent
		i.entry.shard.dropped(it)
		return
	case !i.passes(&it):
		return
	default:
		before = f.at
	}
	i.push(it, before)
}

// passes reports whether an item is news for a loop that has got more from the history than the
// others have got so far.
func (i *interest) passes(it *item) bool {
	f := i.behind
	switch it.kind {
	case itemGap: // for the others; if it has a Next, that message follows
		at, next := f.at, it.more.gap.Next
		it.more = &more{gap: Gap{After: at}}
		return next == Position{}
	case itemMessage:
		fits := f.fits(it.m)
		if fits == fitsStale && f.isAhead(it.m.Position) {
			return false
		}
		i.behind = nil
		if o := &i.entry.topic.options; fits == fitsHole && !o.Conflate {
			i.push(item{kind: itemGap, entry: it.entry, more: &more{gap: Gap{f.at, it.m.Position}}}, f.at)
			f.at = it.m.before()
		}
		return fits != fitsStale && i.behind == nil
	}
	return true
}

func (i *interest) push(it item, before Position) {
	s := i.entry.shard
	if s.push(it) {
		return
	}
	i.behind = &follower{at: before, waits: true, quiet: i.entry.topic.options.Conflate, unsure: it.kind == itemPresent}
	s.dropped(it)
	s.miss(i.entry)
}
