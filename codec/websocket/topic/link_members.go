package topic

import "github.com/myriadnet/myriad/engine/saved"

// membersFunc is what PresenceBroker.Members calls.
type membersFunc = func([]Member, error)

// Members implements PresenceBroker. All connections that arrive ask, so there is one question
// about a topic at a time: its answer is for all that have asked before it was sent. Who asks later
// may know of nobody who joins in between, and waits for the next one.
func (i *heir) Members(name string, done func([]Member, error)) {
	if !i.elsewhere() {
		i.local.Members(name, done)
		return
	}
	defer i.mu.Unlock()
	if waiting, asked := i.waiting[name]; asked {
		i.waiting[name] = append(waiting, done)
		return
	}
	i.askMembers(name, []membersFunc{done})
}

func (i *heir) askMembers(name string, all []membersFunc) {
	i.waiting[name] = nil
	i.ask(request{topic: name, members: all}, frameMembers, func(b []byte) []byte {
		return saved.AppendBytes(b, name)
	})
}

// askWaiting asks again if others have asked about a topic before the answer came.
func (i *heir) askWaiting(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if waiting := i.waiting[name]; len(waiting) > 0 {
		i.askMembers(name, waiting)
	} else {
		delete(i.waiting, name)
	}
}

// toAll calls each of them. They are the user's, and the link's goroutine must go on.
func toAll(dones []membersFunc) membersFunc {
	return func(all []Member, err error) {
		for _, done := range dones {
			isolated("done of Hub.Members", func() { done(all, err) })
		}
	}
}
