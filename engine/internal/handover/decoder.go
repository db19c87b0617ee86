package handover

import "math/bits"

// decoder puts frames together from what Transport.Receive returns. It owns the descriptors until
// their frame is complete.
//
// Descriptors come with the first byte of their frame, and cannot be told from those of another
// frame that came in the same call. So they wait in order, and each frame takes as many as its
// header says.
type decoder struct {
	fds     []int
	header  []byte // a part of the next one, if frame.kind is 0
	frame   frame  // begun
	missing int    // of its payload
	want    int    // its descriptors

	memory func(n int) []byte // returns memory for a batch of n bytes, or nil; nil: there is none
}

// firstPayload limits what is allocated because a header says so. The rest must arrive first.
const firstPayload = 2 << 20

// next takes bytes from p, and returns the rest of them, and a frame if one is complete. If not, p
// is used up, and settled should be called.
func (d *decoder) next(p []byte) (f frame, rest []byte, ok bool, err error) {
	if d.frame.kind == 0 {
		n := min(headerSize-len(d.header), len(p))
		d.header = append(d.header, p[:n]...)
		p = p[n:]
		if len(d.header) < headerSize {
			return frame{}, p, false, nil
		}
		if d.frame.kind, d.want, d.missing, err = parseHeader(d.header); err != nil {
			return frame{}, p, false, err
		}
		d.header = d.header[:0]
		d.frame.payload = d.begin()
	}
	n := min(d.missing, len(p))
	d.take(p[:n])
	p = p[n:]
	if d.missing > 0 {
		return frame{}, p, false, nil
	}
	if len(d.fds) < d.want {
		return frame{}, p, false, malformed("a frame with %d of %d descriptors", len(d.fds), d.want)
	}
	f = d.frame
	f.fds = append([]int(nil), d.fds[:d.want]...)
	d.fds = append(d.fds[:0], d.fds[d.want:]...)
	d.frame, d.want = frame{}, 0
	return f, p, true, nil
}

// begin returns memory for the payload.
func (d *decoder) begin() []byte {
	if d.frame.kind == batch && d.memory != nil {
		if p := d.memory(d.missing); p != nil {
			return p
		}
	}
	n := min(d.missing, firstPayload)
	if d.frame.kind == batch { // so that it suits the next ones
		n = 1 << bits.Len(uint(n-1))
	}
	return make([]byte, 0, n)
}

// take appends to the payload, and wipes what it leaves when it grows.
func (d *decoder) take(p []byte) {
	old := d.frame.payload
	if need := len(old) + len(p); need > cap(old) {
		d.frame.payload = append(make([]byte, 0, min(2*need, len(old)+d.missing)), old...)
		clear(old)
	}
	d.frame.payload = append(d.frame.payload, p...)
	d.missing -= len(p)
}

// settled reports descriptors that belong to no frame, when all bytes are used up.
func (d *decoder) settled() error {
	limit := 0
	switch {
	case d.frame.kind != 0:
		limit = d.want
	case len(d.header) > 0:
		limit = MaxDescriptors
	}
	if len(d.fds) > limit {
		return malformed("%d descriptors that belong to no frame", len(d.fds)-limit)
	}
	return nil
}

// drop forgets what is incomplete, closes its descriptors, and wipes it.
func (d *decoder) drop(t Transport) {
	closeAll(t, d.fds)
	clear(d.frame.payload)
	*d = decoder{}
}

func closeAll(t Transport, fds []int) {
	for _, fd := range fds {
		t.CloseDescriptor(fd)
	}
}
