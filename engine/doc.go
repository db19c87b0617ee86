// Package engine is an event-loop networking framework. A few goroutines serve any number of
// connections, and an idle connection owns no goroutine and no buffer.
//
// # Loops and connections
//
// An [Engine] has event loops, by default one per processor. [Engine.Listen] accepts connections,
// [Engine.Dial] opens them, and [Engine.Adopt] takes over those of package net. Each connection
// belongs to one loop for life. The loop calls the connection's [Protocol], one call at a time, so
// that a Protocol needs no lock for what belongs to its connection. A call must not block: it holds
// up all connections of the loop. Config.BlockedAfter logs the calls that do.
//
// # Goroutines
//
// Most types belong to a loop: [Conn], [Timer], [PacketConn] and [Session]. Their methods may be
// called only on that loop. Other types are for any goroutine: [Engine], [Listener],
// [PacketListener] and [Handle]. A Handle is how another goroutine reaches a connection: it sends
// bytes with [Handle.Send], or runs a function on the connection's loop with [Handle.Post].
//
// # Output
//
// [Conn.Write] only gathers bytes. They go out in one system call when the current call of the
// Protocol returns. What the kernel does not take is queued; while more than Config.HighWater is
// queued, the engine does not read from that peer. What Write accepted is sent, or the reason that
// Protocol.Closed gets says that it was not ([UnsentError]).
//
// # Limits
//
// Every buffer has a limit and every wait has a deadline: see [Config] and [ListenConfig]. A panic
// in a call closes only the connection that the call was for.
//
// # Protocols
//
// The engine does not know any protocol. Package codec cuts streams into messages, and package
// codec/websocket speaks WebSocket. Datagram sockets have their own types: see [PacketProtocol]
// and, for one state per peer, [SessionConfig].
package engine
