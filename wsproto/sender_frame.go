package wsproto

// Frame is a frame that a Sender has made. It is sent by Append, or by Fill without copying it
// whole. Where Header.Masked is not set, the caller may also send the Header, by AppendHeader, and
// then the Payload as it is. A Frame must not be copied.
type Frame struct {
	Header Header
	// what is still to be sent of it, not masked; part of the data that the Sender was given, or
	// compressed
	Payload []byte

	begun   bool    // the header was sent
	scratch *[]byte // where Payload lies if it is compressed
}

// Append appends what is still to be sent to dst.
func (f *Frame) Append(dst []byte) []byte {
	if !f.begun {
		dst = AppendHeader(dst, f.Header)
	}
	n := len(dst)
	dst = append(dst, f.Payload...)
	if f.Header.Masked {
		Mask(dst[n:], f.Header.Key)
	}
	f.begun, f.Payload = true, nil
	f.Release()
	return dst
}

// Fill copies the next bytes to be sent into buf, which has at least MaxHeader bytes, and returns
// how many that are. It returns 0 when all are sent.
func (f *Frame) Fill(buf []byte) (n int) {
	if !f.begun {
		f.begun = true
		n = len(AppendHeader(buf[:0:MaxHeader], f.Header))
	}
	k := copy(buf[n:], f.Payload)
	f.Payload = f.Payload[k:]
	if f.Header.Masked {
		f.Header.Key = Mask(buf[n:n+k], f.Header.Key)
	}
	if len(f.Payload) == 0 {
		f.Release()
	}
	return n + k
}

// Release gives back the memory of a compressed Payload that was sent without Append or Fill, which
// do that at the end. Without it the garbage collector does.
func (f *Frame) Release() {
	if f.scratch != nil && cap(*f.scratch) <= keptScratch {
		scratch.Put(f.scratch)
	}
	f.scratch = nil
}
