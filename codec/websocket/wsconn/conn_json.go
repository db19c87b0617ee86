package wsconn

import (
	"context"
	"encoding/json"
	"fmt"
)

// ReadJSON waits for the next message, text or binary, and stores the JSON in it in v, which is a
// pointer. The errors are those of Read, and those of json.Unmarshal, wrapped: after these the
// connection is still good, and the next call gets the next message.
func (c *Conn) ReadJSON(ctx context.Context, v any) error {
	if err := c.lockRead(ctx); err != nil {
		return err
	}
	defer c.unlockRead() // behind Unmarshal: another call would overwrite data
	_, data, err := c.read(ctx)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("wsconn: message is not the JSON expected: %w", err)
	}
	return nil
}

// WriteJSON sends v as JSON in a text message. The errors are those of Write, and those of
// json.Marshal, wrapped: after these nothing was sent.
func (c *Conn) WriteJSON(ctx context.Context, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("wsconn: %w", err)
	}
	return c.Write(ctx, Text, data)
}
