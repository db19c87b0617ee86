package codectest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/myriadnet/myriad/codec/codectest"
)

// lengthCodec puts a length of four bytes in front of each message.
type lengthCodec struct{ max int }

func (c lengthCodec) Decode(src []byte, _ int) (msg []byte, n, next int, err error) {
	if len(src) < 4 {
		return nil, 0, 0, nil // more is needed
	}
	size := binary.BigEndian.Uint32(src)
	if size > uint32(c.max) {
		return nil, 0, 0, fmt.Errorf("message of %d bytes, want at most %d", size, c.max)
	}
	end := 4 + int(size)
	if len(src) < end {
		return nil, 0, 0, nil
	}
	return src[4:end], end, 0, nil
}

func (c lengthCodec) Append(dst, msg []byte) ([]byte, error) {
	if len(msg) > c.max {
		return nil, fmt.Errorf("message of %d bytes, want at most %d", len(msg), c.max)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(msg)))
	return append(dst, msg...), nil
}

// Most tests call Check and CheckLimit with a t at hand, and report the error.
func Example() {
	c := lengthCodec{max: 1000}
	err := codectest.Check(c, []byte("hello"), []byte{}, bytes.Repeat([]byte("x"), 1000))
	fmt.Println("format:", err)
	err = codectest.CheckLimit(c, lengthCodec{max: 2000}, 1000, 'x')
	fmt.Println("limit:", err)
	// Output:
	// format: <nil>
	// limit: <nil>
}
