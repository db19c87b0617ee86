package handshake

import (
	"bytes"
	"fmt"
	"iter"
)

// known are the fields that decide what a head means. Where they stand is noted when a head is read, so that nobody has to look
// through the others for them.
type known uint8

const (
	other known = iota
	hostField
	lengthField
	codingField
	upgradeField
	connectionField
	originField
	keyField
	versionField
	protocolField
	extensionsField
	acceptField
	knownFields
)

var knownNames = [knownFields]string{
	hostField: "Host", lengthField: "Content-Length", codingField: "Transfer-Encoding", upgradeField: "Upgrade",
	connectionField: "Connection", originField: "Origin", keyField: "Sec-WebSocket-Key", versionField: "Sec-WebSocket-Version",
	protocolField: "Sec-WebSocket-Protocol", extensionsField: "Sec-WebSocket-Extensions", acceptField: "Sec-WebSocket-Accept",
}

// byLength are the known fields whose names are so long: there are never more than two.
var byLength = func() (t [32][2]known) {
	for k, name := range knownNames {
		if at := &t[len(name)]; at[0] == other {
			at[0] = known(k)
		} else {
			at[1] = known(k)
		}
	}
	return t
}()

func knownField(name []byte) known {
	if len(name) < len(byLength) {
		for _, k := range byLength[len(name)] {
			if k != other && equalFold(name, knownNames[k]) {
				return k
			}
		}
	}
	return other
}

// fields are the header fields of a request or response whose form was checked.
type fields struct {
	lines []byte // with their ends
	// noted are the lines from the first of that name to the last.
	noted [knownFields]struct{ begin, end uint32 }
}

// read checks the form of all fields, and notes the known ones.
func (f *fields) read(lines []byte, l HeadLimits) error {
	*f = fields{lines: lines}
	for begin, count := 0, 0; begin < len(lines); {
		if count++; count > l.Fields {
			return l.fieldsError()
		}
		name, n, err := cutField(lines[begin:])
		if err != nil {
			return err
		}
		end := begin + n
		if k := knownField(name); k != other {
			at := &f.noted[k]
			if at.end == 0 {
				at.begin = uint32(begin)
			}
			at.end = uint32(end)
		}
		begin = end
	}
	return nil
}

// cutField finds the first field of what was received, and checks its form. n is how long it is, with its line's end.
func cutField(lines []byte) (name []byte, n int, err error) {
	end := bytes.IndexByte(lines, '\n')
	line := lines[:end-1]
	colon := 0
	for colon < len(line) && chars[line[colon]]&tokenChar != 0 {
		colon++
	}
	switch {
	case line[0] == ' ' || line[0] == '\t':
		return nil, 0, errFold
	case colon == 0 || colon == len(line) || line[colon] != ':':
		return nil, 0, errName
	case !isValue(line[colon+1:]):
		return nil, 0, errValue
	}
	return line[:colon], end + 1, nil
}

// nextField takes the first field off lines whose form was checked.
func nextField(lines []byte) (name, value, rest []byte) {
	end := bytes.IndexByte(lines, '\n')
	colon := bytes.IndexByte(lines[:end], ':')
	return lines[:colon], trim(lines[colon+1 : end-1]), lines[end+1:]
}

// Fields yields the header fields, in order. Names are as they were sent; values have no space around them.
func (f *fields) Fields() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for rest := f.lines; len(rest) > 0; {
			var name, value []byte
			name, value, rest = nextField(rest)
			if !yield(name, value) {
				return
			}
		}
	}
}

// Header is the value of the first field of that name, nil if there is none. name is compared without regard to case.
func (f *fields) Header(name string) []byte {
	for n, value := range f.Fields() {
		if equalFold(n, name) {
			return value
		}
	}
	return nil
}

// values yields the values of a known field, in order.
func (f *fields) values(k known) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		at := f.noted[k]
		for rest := f.lines[at.begin:at.end]; len(rest) > 0; {
			var name, value []byte
			name, value, rest = nextField(rest)
			if equalFold(name, knownNames[k]) && !yield(value) {
				return
			}
		}
	}
}

// only is the value of the first field of that name, and how many there are.
func (f *fields) only(k known) (value []byte, n int) {
	for v := range f.values(k) {
		if n++; n == 1 {
			value = v
		}
	}
	return value, n
}

// has says whether there is such a field.
func (f *fields) has(k known) bool { return f.noted[k].end > 0 }

// hasToken says whether a field that is a list of tokens, over all its lines, has this one (RFC 9110 section 5.6.1). A list
// in which something else stands has none. In Upgrade a token may have a version behind a slash (section 7.8). hasToken looks at
// every byte once.
func (f *fields) hasToken(k known, token string) (found bool) {
	for v := range f.values(k) {
		for len(v) > 0 {
			var item []byte
			item, v, _ = bytes.Cut(v, comma)
			item = trim(item)
			protocol, version, versioned := bytes.Cut(item, slash)
			if len(item) > 0 && (!isToken(protocol) || versioned && !(k == upgradeField && isToken(version))) {
				return false
			}
			found = found || equalFold(item, token)
		}
	}
	return found
}

func (l HeadLimits) fieldsError() error {
	return refuse(431, "RFC 6585 section 5", fmt.Sprintf("over the limit of %d header fields", l.Fields))
}
