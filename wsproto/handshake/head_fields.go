package handshake

import (
	"bytes"
	"iter"
)

// known is a field that has a meaning for us. Where such fields stand is noted when a head is read,
// so that the others need not be searched.
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

// knownNames has the names of the known fields.
var knownNames = [knownFields]string{
	hostField:       "Host",
	lengthField:     "Content-Length",
	codingField:     "Transfer-Encoding",
	upgradeField:    "Upgrade",
	connectionField: "Connection",
	originField:     "Origin",
	keyField:        "Sec-WebSocket-Key",
	versionField:    "Sec-WebSocket-Version",
	protocolField:   "Sec-WebSocket-Protocol",
	extensionsField: "Sec-WebSocket-Extensions",
	acceptField:     "Sec-WebSocket-Accept",
}

// byLength has the known fields by the length of their names: there are never more than two of one
// length.
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

// knownField returns the known field of that name, or other.
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

// fields has the header fields of a head whose form was checked.
type fields struct {
	lines []byte // with the ends of lines
	// noted has, for each known field, the lines from the first of that name to the last.
	noted [knownFields]struct{ begin, end uint32 }
}

// read checks the form of all fields and notes the known ones.
func (f *fields) read(lines []byte, l headLimits) error {
	*f = fields{lines: lines}
	for begin, count := 0, 0; begin < len(lines); {
		if count++; count > l.fields {
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

// cutField returns the name of the first field in lines and the size of its line, and checks its
// form.
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

// nextField returns the first field of lines whose form was checked, and the other lines.
func nextField(lines []byte) (name, value, rest []byte) {
	end := bytes.IndexByte(lines, '\n')
	colon := bytes.IndexByte(lines[:end], ':')
	return lines[:colon], trim(lines[colon+1 : end-1]), lines[end+1:]
}

// Fields returns the names and values of the header fields, in order. Names are as they were sent;
// values have no space around them.
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

// Header returns the value of the first header field of that name, in any case, or nil if there is
// none.
func (f *fields) Header(name string) []byte {
	for n, value := range f.Fields() {
		if equalFold(n, name) {
			return value
		}
	}
	return nil
}

// values returns the values of a known field, in order.
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

// only returns the value of the first field of that name, and how many such fields there are.
func (f *fields) only(k known) (value []byte, n int) {
	for v := range f.values(k) {
		if n++; n == 1 {
			value = v
		}
	}
	return value, n
}

// hasToken reports whether a field that is a list of tokens, over all its lines, has this one (RFC
// 9110 section 5.6.1). A list in which there is anything else has none. In Upgrade a token may have
// a version behind a slash (section 7.8). hasToken looks at every byte once.
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
