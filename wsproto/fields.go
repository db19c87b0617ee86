package wsproto

import (
	"bytes"
	"fmt"
	"iter"
)

// fields are the header fields of a request or response whose form was checked, with their line ends.
type fields []byte

// cutField takes the first field off what was received, and checks its form.
func cutField(lines []byte) (name, value, rest []byte, err error) {
	end := bytes.IndexByte(lines, '\n')
	line := lines[:end-1]
	colon := bytes.IndexByte(line, ':')
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return nil, nil, nil, errFold
	case colon <= 0 || !isToken(line[:colon]):
		return nil, nil, nil, errName
	}
	if value = trim(line[colon+1:]); !isValue(value) {
		return nil, nil, nil, errValue
	}
	return line[:colon], value, lines[end+1:], nil
}

// next takes the first field off.
func (f fields) next() (name, value []byte, rest fields) {
	end := bytes.IndexByte(f, '\n')
	colon := bytes.IndexByte(f[:end], ':')
	return f[:colon], trim(f[colon+1 : end-1]), f[end+1:]
}

// find takes off the fields up to the first of that name, which is a token: a line that does not have its colon there is passed
// over without a look at what else it has.
func (f fields) find(name string) (value []byte, rest fields, ok bool) {
	n := len(name)
	for len(f) > 0 {
		end := bytes.IndexByte(f, '\n')
		if n < end && f[n] == ':' && equalFold(f[:n], name) {
			return trim(f[n+1 : end-1]), f[end+1:], true
		}
		f = f[end+1:]
	}
	return nil, nil, false
}

// Fields yields the header fields, in order. Names are as they were sent; values have no space around them.
func (f fields) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := f; len(rest) > 0; {
			var name, value []byte
			name, value, rest = rest.next()
			if !yield(name, value) {
				return
			}
		}
	}
}

// Header is the value of the first field of that name, nil if there is none. name is compared without regard to case.
func (f fields) Header(name string) []byte {
	v, _ := f.only(name)
	return v
}

// only is the value of the first field of that name, and how many there are.
func (f fields) only(name string) (value []byte, n int) {
	for v, rest, ok := f.find(name); ok; v, rest, ok = rest.find(name) {
		if n++; n == 1 {
			value = v
		}
	}
	return value, n
}

// hasToken says whether a field that is a list of tokens, over all its lines, has this one (RFC 9110 section 5.6.1). A list
// in which something else stands has none. In Upgrade a token may have a version behind a slash (section 7.8). hasToken looks at
// every byte once.
func (f fields) hasToken(name, token string) (found bool) {
	mayHaveVersion := name == "Upgrade"
	for v, rest, ok := f.find(name); ok; v, rest, ok = rest.find(name) {
		for len(v) > 0 {
			var item []byte
			item, v, _ = bytes.Cut(v, comma)
			item = trim(item)
			protocol, version, versioned := bytes.Cut(item, slash)
			if len(item) > 0 && (!isToken(protocol) || versioned && !(mayHaveVersion && isToken(version))) {
				return false
			}
			found = found || equalFold(item, token)
		}
	}
	return found
}

func (l Limits) fieldsError() error {
	return refuse(431, "RFC 6585 section 5", fmt.Sprintf("over the limit of %d header fields", l.Fields))
}
