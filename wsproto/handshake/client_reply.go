package handshake

import (
	"fmt"
	"math"

	"github.com/myriadnet/myriad/wsproto"
)

const (
	maxInterim   = 16      // responses before the final one
	maxErrorBody = 4 << 10 // bytes of the content of a refusal
)

// Reply reads a server's reply to one opening handshake: interim responses, which it skips (RFC
// 9110 section 15.2), the final response, and the start of its content if that refuses. Opening and
// Key are those of the request.
type Reply struct {
	Opening *Opening
	Key     ClientKey
	Limits  *wsproto.Limits // of each head; nil: the defaults

	scanned uint32 // bytes of an incomplete head that were looked at
	interim int
	refusal *Error  // whose content is being read
	content Framing // of that
}

// Next returns how many bytes at the beginning of src it has consumed, and what the handshake has
// agreed on if src[:n] ends with the response that accepts it. If a is nil, Next must be called
// again with src[n:] and more behind it. An error is an *Error, and final.
//
// If Refused is true, a caller should not wait for long: End returns the error without the rest of
// the content.
func (r *Reply) Next(src []byte) (n int, a *Accepted, err error) {
	for r.refusal == nil {
		var response Response
		k, err := ParseResponse(src[n:], &r.scanned, &response, r.Limits)
		if k == 0 || err != nil {
			return n, nil, err
		}
		n, r.scanned = n+k, 0
		switch {
		case response.Status >= 200:
			r.refusal = r.Opening.refused(&response)
			r.enterContent(&response)
		case response.Status == 101:
			accepted, err := r.Opening.Check(&response, r.Key)
			if err != nil {
				return n, nil, err
			}
			return n, &accepted, nil
		case r.interim == maxInterim:
			return n, nil, &Error{Status: response.Status, Section: "RFC 9110 section 15.2",
				Text: fmt.Sprintf("over the limit of %d interim responses", maxInterim)}
		}
		r.interim++
	}
	k, done := r.readContent(src[n:])
	if done {
		return n + k, nil, r.refusal
	}
	return n + k, nil, nil
}

// Refused reports whether the head of a response has arrived that refuses.
func (r *Reply) Refused() bool { return r.refusal != nil }

// End returns the error of a connection that ends with reason before Next has returned one: the
// server's refusal if there is one, or else reason.
func (r *Reply) End(reason error) error {
	if r.refusal != nil {
		return r.refusal
	}
	return reason
}

// enterContent finds out where the content of a refusal ends (RFC 9112 section 6.3). No other
// response follows it on this connection, so that an answer that could be read in two ways does no
// harm.
func (r *Reply) enterContent(response *Response) {
	r.content.enter(inContent)
	r.content.left = math.MaxInt64 // to the end of the connection
	switch coding, codings := response.only(codingField); {
	case response.Status == 204 || response.Status == 304:
		r.content.left = 0
	case codings > 0 && checkCoding(coding) == nil:
		r.content.enter(inChunkLine)
	case codings == 0:
		length, _ := response.only(lengthField)
		if left, err := parseLength(length); err == nil {
			r.content.left = left
		}
	}
}

// readContent adds to the body of the refusal. It reports whether no more is wanted.
func (r *Reply) readContent(src []byte) (n int, done bool) {
	for {
		state := r.content.state
		if state == inHead || state == inTrailer || state == inContent && r.content.left == 0 {
			return n, true
		}
		k, err := r.content.step(src[n:])
		if state == inContent || state == inChunk {
			room := maxErrorBody - len(r.refusal.Body)
			r.refusal.Body = append(r.refusal.Body, src[n:n+min(k, room)]...)
		}
		n += k
		switch {
		case err != nil || len(r.refusal.Body) == maxErrorBody:
			return n, true
		case k == 0:
			return n, false
		}
	}
}
