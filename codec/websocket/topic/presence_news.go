package topic

// news is what members have done last, with Options.PresenceInterval, while others must not be
// told.
type news struct {
	all map[string]newsOf // by ID
	due bool              // the interval is not over: tellNews is in the agenda
}

type newsOf struct {
	member Member
	left   bool
}

func (n *news) add(joined, left []Member) {
	if n.all == nil {
		n.all = make(map[string]newsOf)
	}
	for _, m := range joined {
		n.all[m.ID] = newsOf{m, false}
	}
	for _, m := range left {
		n.all[m.ID] = newsOf{m, true}
	}
}

// tellNews tells what there is, and begins an interval.
func (t *topic) tellNews() {
	var joined, left []Member
	for _, n := range t.news.all {
		if n.left {
			left = append(left, n.member)
		} else {
			joined = append(joined, n.member)
		}
	}
	t.news = news{due: true}
	t.tellPresent(joined, left)
	t.hub.agenda.at(t.hub.clock.Now().Add(t.options.PresenceInterval), func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.news.due = false
		if len(t.news.all) > 0 && !t.gone {
			t.tellNews()
		}
	})
}
