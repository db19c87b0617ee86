package codec

import "fmt"

// Codec is the format of a frame, which carries one message. The codecs of this package are values
// without state: any number of connections can share one.
type Codec interface {
	// Decode looks for the first message in src.
	//
	// If the message is complete, Decode returns it as msg, which is a part of src, and the size of
	// its frame as n. If more input is needed, n is 0. An error means that the stream cannot be
	// decoded. Return it as soon as that is known: a message over the limit must be refused before
	// all of it has arrived.
	//
	// After n = 0 Decode is called again with the same src and more behind it. scanned is then the
	// next that Decode returned: how many bytes it does not have to examine again. It is 0 at the
	// beginning of a frame. A codec that searches for the end of the message returns how far it has
	// searched, so that input that arrives byte by byte is searched only once. A codec that reads
	// the size from a header can ignore scanned and return 0.
	Decode(src []byte, scanned int) (msg []byte, n, next int, err error)

	// Append appends the frame of msg to dst and returns the extended slice. It fails if there is
	// no frame that Decode would decode to msg. The slice that comes with an error is not used.
	Append(dst, msg []byte) ([]byte, error)
}

// LimitError reports a message over its codec's limit.
type LimitError struct {
	Limit int // in bytes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("codec: message over the limit of %d bytes", e.Limit)
}

// FormatError reports input that breaks a codec's format, or a message that the format cannot hold.
type FormatError struct {
	Text string
}

func (e *FormatError) Error() string { return "codec: " + e.Text }

// DefaultMax is the limit of a codec whose Max is 0: 1 MiB.
const DefaultMax = 1 << 20

// orDefault returns the limit that a Max stands for.
func orDefault(limit int) int {
	if limit <= 0 {
		return DefaultMax
	}
	return limit
}
