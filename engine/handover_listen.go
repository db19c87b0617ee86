package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/handover"
	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/saved"
)

// moves is what an engine knows of handovers. Engine.mu guards it, but for progress.
type moves struct {
	progress progress

	open      []*Listener    // those that were not closed, and some that were
	inherited []*inherited   // before its handover has ended
	holding   bool           // Listeners do not accept yet
	path      *inheritedPath // nil: nothing was inherited
	gone      bool           // a successor has the listeners
}

// inherited is a listening socket of the old process, or several.
type inherited struct {
	handover.Listener
	taken *Listener // by Listen; nil: none yet
	keys  []byte    // of the layer, for LoadKeys
}

// Meta of a handover.Listener.
var (
	ownsFile = []byte{1} // the file of the unix socket goes along
	noFile   = []byte{0}
)

// noteOpen remembers ln for a handover. Those that were closed in the meantime are forgotten.
func (m *moves) noteOpen(ln *Listener) {
	m.open = append(slices.DeleteFunc(m.open, func(o *Listener) bool { return o.closed.Load() }), ln)
}

// inheritGroup returns the sockets that another process has had for what ln listens on, if any. If
// they are fewer than the loops that ln needs, open opens the others.
func (e *Engine) inheritGroup(ln *Listener, sockets int, open func(string) (int, error)) ([]int, error) {
	in := e.takeInherited(ln)
	if in == nil {
		return nil, nil
	}
	for _, fd := range in.FDs {
		if ln.network == "unix" {
			continue
		}
		if err := setInherited(fd, ln.config.options()); err != nil {
			e.config.Logger.Warn("engine: cannot set the options of an inherited socket",
				"address", ln.asked, "error", err)
		}
	}
	if ln.network == "unix" && bytes.Equal(in.Meta, ownsFile) {
		ln.file, _ = driver.FileOf(ln.path) // an error means that somebody has removed it
	}
	if k, ok := ln.config.Layer.(layer.Loader); ok && len(in.keys) > 0 {
		if err := k.LoadKeys(in.keys); err != nil {
			e.config.Logger.Warn("engine: the keys of the old process do not fit the layer",
				"address", ln.asked, "error", err)
		}
		clear(in.keys)
	}
	fds := in.FDs
	address := e.backend.Addr(fds[0]).String()
	for ln.config.PerLoop && len(fds) < sockets { // the old one had fewer loops
		ln.bound = true // and the kernel would give a part of its peers to the other sockets
		fd, err := open(address)
		if err != nil { // it was not PerLoop there
			break
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

// takeInherited returns what was inherited for ln, once.
func (e *Engine) takeInherited(ln *Listener) *inherited {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, in := range e.moves.inherited {
		if in.taken == nil && in.Network+" "+in.Address == ln.asked {
			in.taken = ln
			ln.shared.Store(true) // until the handover has ended
			return in
		}
	}
	return nil
}

// listenersToGive returns what the open listeners have, and the number of each. After an error,
// such as EMFILE, all is what was copied before.
func (e *Engine) listenersToGive() (all []handover.Listener, numbers map[*Listener]int, err error) {
	e.mu.Lock()
	open := slices.Clone(e.moves.open)
	e.mu.Unlock()
	numbers = make(map[*Listener]int)
	for _, ln := range open {
		g := handover.Listener{Meta: noFile}
		g.Network, g.Address = splitAsked(ln.asked)
		for _, a := range ln.acceptors {
			fd, e := a.copy()
			if err = errors.Join(err, e); fd >= 0 {
				g.FDs = append(g.FDs, fd)
			}
		}
		if len(g.FDs) == 0 {
			continue
		}
		if !ln.shared.Load() {
			g.Meta = ownsFile
		}
		numbers[ln] = len(all)
		all = append(all, g)
	}
	if err != nil {
		return all, nil, fmt.Errorf("engine: handover: listening sockets: %w", err)
	}
	return all, numbers, nil
}

// copy returns another descriptor of the socket, since that may be closed before it is sent; -1 if
// it is closed already.
func (a *acceptor) copy() (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fd < 0 {
		return -1, nil
	}
	fd, err := duplicate(a.fd)
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// layerKeys returns the keys of the listeners' layers, for keepKeys.
func layerKeys(numbers map[*Listener]int) (all []byte) {
	for ln, i := range numbers {
		if k, ok := ln.config.Layer.(layer.Loader); ok {
			keys := k.SaveKeys(nil)
			if len(all)+len(keys)+2*binary.MaxVarintLen64 <= handover.MaxSecrets {
				grown := slices.Grow(slices.Clone(all), len(keys)+2*binary.MaxVarintLen64)
				clear(all)
				all = saved.AppendBytes(binary.AppendUvarint(grown, uint64(i)), keys)
			}
			clear(keys)
		}
	}
	return all
}

// keepKeys keeps for Listen what layerKeys has returned.
func keepKeys(all []*inherited, secrets []byte) error {
	r := saved.NewReader(secrets)
	for len(r.Rest()) > 0 {
		i, keys := r.Uvarint(1<<31-1), r.Bytes(handover.MaxSecrets)
		if i < uint64(len(all)) {
			all[i].keys = bytes.Clone(keys)
		}
	}
	clear(secrets)
	return r.Err()
}

// splitAsked returns the network and the address of Listener.asked.
func splitAsked(asked string) (network, address string) {
	network, address, _ = strings.Cut(asked, " ")
	return network, address
}

// rest pauses accepting while another process does it, or resumes it, and calls done for each
// acceptor then.
func (ln *Listener) rest(resting bool, done func()) {
	for _, a := range ln.acceptors {
		err := a.loop.do(func() {
			a.resting = resting
			if a.resume != nil {
				a.resume.Stop()
				a.resume = nil
			}
			if a.token != 0 {
				a.setAccepting(!resting)
			}
			done()
		})
		if err != nil { // it has ended
			done()
		}
	}
}

// startHeld lets the listeners accept. Those that were opened before Inherit do already.
func (e *Engine) startHeld() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moves.holding = false
	for _, ln := range e.moves.open {
		for _, a := range ln.acceptors {
			if a.loop.do(func() { a.loop.listen(a) }) != nil { // it has ended
				a.release()
			}
		}
	}
}

// listenerOf returns the listener that has taken the old one's number, nil if there is none.
func (e *Engine) listenerOf(number uint32) *Listener {
	e.mu.Lock()
	defer e.mu.Unlock()
	if number == 0 || int(number) > len(e.moves.inherited) {
		return nil
	}
	return e.moves.inherited[number-1].taken
}

// forgetInherited closes what no Listen has asked for. If the handover is complete, the files of
// unix sockets are this process's.
func (e *Engine) forgetInherited(complete bool) {
	e.mu.Lock()
	all := e.moves.inherited
	e.moves.inherited = nil
	e.mu.Unlock() // the Logger's Handler may call methods of the engine
	for _, in := range all {
		clear(in.keys)
		switch {
		case in.taken == nil:
			e.config.Logger.Warn("engine: nothing listens on a socket of the old process: it is closed",
				"network", in.Network, "address", in.Address)
			for _, fd := range in.FDs {
				e.backend.CloseFd(fd)
			}
		case complete && bytes.Equal(in.Meta, ownsFile):
			in.taken.shared.Store(false)
		}
	}
}
