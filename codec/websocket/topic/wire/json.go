package wire

import (
	"encoding/base64"
	"strconv"
	"unicode/utf8"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/codec/websocket/topic"
)

// jsonEncoding is SubprotocolJSON: an object per message.
type jsonEncoding struct{}

func (jsonEncoding) Opcode() websocket.Opcode { return websocket.Text }

func (jsonEncoding) Message(dst []byte, name string, m *topic.Message) []byte {
	dst = putKeyPosition(putHead(dst, "message", name), "pos", m.Position)
	if m.Op == websocket.Text {
		dst = quote(append(dst, `,"text":`...), m.Data)
	} else {
		dst = base64.StdEncoding.AppendEncode(append(dst, `,"base64":"`...), m.Data)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func (jsonEncoding) Subscribed(dst []byte, name string, at topic.Position) []byte {
	return append(putKeyPosition(putHead(dst, "subscribed", name), "pos", at), '}')
}

func (jsonEncoding) Gap(dst []byte, name string, g topic.Gap) []byte {
	dst = putKeyPosition(putHead(dst, "gap", name), "after", g.After)
	if g.Next != (topic.Position{}) {
		dst = putKeyPosition(dst, "next", g.Next)
	}
	return append(dst, '}')
}

func (jsonEncoding) Present(dst []byte, name string, joined, left []topic.Member) []byte {
	dst = putHead(dst, "presence", name)
	if len(joined) > 0 {
		dst = quoteMembers(append(dst, `,"joined":`...), joined)
	}
	if len(left) > 0 {
		dst = append(dst, `,"left":`...)
		for i := range left {
			dst = quote(append(dst, separator(i)), left[i].ID)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func (jsonEncoding) members(dst []byte, name string, list []topic.Member, more int) []byte {
	dst = quoteMembers(append(putHead(dst, "members", name), `,"members":`...), list)
	if more > 0 {
		dst = strconv.AppendInt(append(dst, `,"more":`...), int64(more), 10)
	}
	return append(dst, '}')
}

func (jsonEncoding) published(dst []byte, id uint64) []byte {
	dst = strconv.AppendUint(append(dst, `{"type":"published","id":`...), id, 10)
	return append(dst, '}')
}

func (jsonEncoding) failed(dst []byte, id uint64, name []byte, e *Error) []byte {
	dst = strconv.AppendInt(append(dst, `{"type":"error","code":`...), int64(e.Code), 10)
	if id != 0 {
		dst = strconv.AppendUint(append(dst, `,"id":`...), id, 10)
	}
	dst = quote(append(dst, `,"topic":`...), name)
	dst = quote(append(dst, `,"text":`...), e.Text)
	return append(dst, '}')
}

func (jsonEncoding) pong(dst []byte) []byte { return append(dst, `{"type":"pong"}`...) }

func putHead(dst []byte, kind, name string) []byte {
	dst = append(append(dst, `{"type":"`...), kind...)
	return quote(append(dst, `","topic":`...), name)
}

func putKeyPosition(dst []byte, key string, p topic.Position) []byte {
	dst = append(append(append(dst, `,"`...), key...), `":"`...)
	return append(appendPosition(dst, p), '"')
}

// quoteMembers appends a non-empty or empty list. Info is text here.
func quoteMembers(dst []byte, list []topic.Member) []byte {
	if len(list) == 0 {
		return append(dst, "[]"...)
	}
	for i := range list {
		dst = quote(append(append(dst, separator(i)), `{"id":`...), list[i].ID)
		if len(list[i].Info) > 0 {
			dst = quote(append(dst, `,"info":`...), list[i].Info)
		}
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

func separator(i int) byte {
	if i == 0 {
		return '['
	}
	return ','
}

const hexDigits = "0123456789abcdef"

// quote appends a string of JSON. Bytes that are not UTF-8 become U+FFFD.
func quote[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		b := s[i]
		if b < utf8.RuneSelf {
			if b >= ' ' && b != '"' && b != '\\' {
				i++
				continue
			}
			dst = append(dst, s[done:i]...)
			switch b {
			case '"', '\\':
				dst = append(dst, '\\', b)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
			}
			i++
			done = i
			continue
		}
		_, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
		if size == 1 {
			dst = append(append(dst, s[done:i]...), "\uFFFD"...)
			done = i + 1
		}
		i += size
	}
	return append(append(dst, s[done:]...), '"')
}
