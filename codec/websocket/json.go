package websocket

import (
	"encoding/json"

	"github.com/myriadnet/myriad/engine"
)

// SendJSON sends v as a text message, encoded by encoding/json. The error is that of json.Marshal,
// or as that of Send.
func (c *Conn) SendJSON(v any) (engine.Pressure, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return c.Pressure(), err
	}
	return c.Send(Text, b)
}

// jsonWork is the work of decoding a byte of JSON, in bytes: see countWork.
const jsonWork = 16

// HandleJSON returns a function for Server.Message or Client.Message that decodes each message by
// encoding/json and calls f with the result. A message that is not JSON for a T closes the
// connection with code 1007, and a binary message with 1003. The message null is JSON for every T,
// and leaves v its zero value: f must expect nil if T is a pointer, a map or a slice.
//
// It decodes on the loop: a message of 1 MiB takes 10 ms and more, and 100 ms if T is any or a map
// of it. So set MaxMessage to what you expect, or decode in a goroutine what may be large.
func HandleJSON[T any](f func(c *Conn, v T)) func(c *Conn, op Opcode, data []byte) {
	if f == nil {
		panic("websocket: HandleJSON: f is nil")
	}
	return func(c *Conn, op Opcode, data []byte) {
		if op != Text {
			c.Close(UnsupportedData, "want JSON in a text message")
			return
		}
		c.conn.AddWork(jsonWork * min(len(data), wholeTurn/jsonWork))
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			c.Close(InvalidPayload, "malformed JSON")
			return
		}
		f(c, v)
	}
}
