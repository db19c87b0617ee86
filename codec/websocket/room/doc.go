// Package room keeps WebSockets together that belong together: a match, a document, a channel. A
// Room lives on one loop of an engine, so its state needs no lock, and it is ticked there at a
// fixed rate, as a game server wants it.
//
// A Seat is a place in a Room. It outlives its connection for a while (Config.Grace): a client that
// has lost its connection comes back with the Seat's token and the number of the last message that
// it has got. It finds its Value as it was, and gets exactly the messages that it has missed.
//
// Connections must be on the Room's loop: see websocket.Handshake.MoveTo. All methods of a Room and
// a Seat may be called only there, except where they say otherwise: in callbacks of the
// connections, in Config.Tick and Config.Left, and in functions given to Room.Post.
//
// A topic.Hub knows its subscriptions by connection, and has forgotten them when the callback Close
// comes. A program that uses one attaches something of its own to the connection before it
// subscribes (websocket.Conn.Attach). When that is told of the end it reads Hub.Subscriptions,
// keeps them in Seat.Value, and calls Seat.Lost. After Resume the program subscribes again from
// those positions.
package room
