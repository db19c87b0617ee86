package websocket

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/myriadnet/myriad/engine/saved"
)

// attached is what a Mover has saved of a connection.
type attached struct {
	mover Mover
	state []byte
}

// unmovable returns why what is attached to a connection cannot move. An Attachment that never can
// says so by a method Unmovable() string. Others are those of a Mover, or else moved by Save.
func (h *Handover) unmovable(all []Attachment) saved.Unmovable {
	for _, a := range all {
		if h.moverOf(a) != nil {
			continue
		}
		if u, ok := a.(interface{ Unmovable() string }); ok {
			return saved.Unmovable(u.Unmovable())
		}
		if h.Save == nil {
			return "no websocket.Handover.Movers"
		}
	}
	return ""
}

func (h *Handover) moverOf(a Attachment) Mover {
	for _, m := range h.Movers {
		if m.Owns(a) {
			return m
		}
	}
	return nil
}

// saveAttached appends what the Movers save.
func (h *Handover) saveAttached(c *Conn, dst []byte) (_ []byte, err error) {
	var names []string
	if all := c.Attachments(); len(all) > 0 {
		for name, m := range h.Movers {
			if slices.ContainsFunc(all, m.Owns) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
	}
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	var state []byte
	for _, name := range names {
		if state, err = h.Movers[name].Save(c, state[:0]); err != nil {
			return nil, err
		}
		dst = saved.AppendBytes(saved.AppendBytes(dst, name), state)
	}
	return dst, nil
}

// readAttached reads what saveAttached has appended, and returns what follows.
func (h *Handover) readAttached(b []byte) (all []attached, rest []byte, err error) {
	r := saved.NewReader(b)
	for n := r.Uvarint(math.MaxInt32); n > 0 && r.Err() == nil; n-- {
		name, state := r.Bytes(math.MaxUint16), r.Bytes(math.MaxInt32)
		var m Mover
		if h != nil {
			m = h.Movers[string(name)]
		}
		if m == nil && r.Err() == nil {
			return nil, nil, saved.Unmovable("no websocket.Handover.Movers")
		}
		all = append(all, attached{m, state})
	}
	return all, r.Rest(), r.Err()
}

// load calls Load of the Movers, and Load.
func (h *Handover) load(c *Conn, all []attached, user []byte) error {
	for _, a := range all {
		if err := a.mover.Load(c, a.state); err != nil {
			return fmt.Errorf("%T: %w", a.mover, err)
		}
	}
	if h != nil && h.Load != nil {
		return h.Load(c, user)
	}
	return nil
}
