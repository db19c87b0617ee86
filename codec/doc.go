// Package codec cuts a byte stream into messages and frames messages for a stream.
//
// A [Codec] is the format of a frame. Line, Delimiter, Fixed, LengthPrefix and Varint are the usual
// ones. A [Framer] applies a codec to a connection of the engine. It has the methods of
// engine.Protocol, so an accept function can return one:
//
//	eng.Listen("tcp", ":7000", func(c *engine.Conn) engine.Protocol {
//		return codec.NewFramer(c, codec.Line{}, func(f *codec.Framer, line []byte) error {
//			return f.Send(line)
//		})
//	})
//
// A [Reader] and a [Writer] apply a codec to any other stream, such as the net.Conn of a client.
//
// Package codectest checks a codec of your own.
package codec
