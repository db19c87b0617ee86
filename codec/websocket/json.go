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

// HandleJSON returns a function for Server.Message or Client.Message that decodes each message by
// encoding/json and calls f with the result. A message that is not JSON for a T closes the
// connection with code 1007, and a binary message with 1003. The message null is JSON for every T,
// and leaves v its zero value: f must expect nil if T is a pointer, a map or a slice.
func HandleJSON[T any](f func(c *Conn, v T)) func(c *Conn, op Opcode, data []byte) {
	if f == nil {
		panic("websocket: HandleJSON: f is nil")
	}
	return func(c *Conn, op Opcode, data []byte) {
		if op != Text {
			c.Close(UnsupportedData, "want JSON in a text message")
			return
		}
		var v T
		if err := json.Unmarshal(data, &v); err != nil {
			c.Close(InvalidPayload, "malformed JSON")
			return
		}
		f(c, v)
	}
}
