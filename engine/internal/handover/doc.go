// Package handover moves listeners and connections from one process to another, over a unix
// socket. It knows no engine: a connection is a descriptor and bytes that only the engine can read.
//
// The giver is the old process, the taker the new one.
//
//	giver                                        taker
//	HELLO                                        HELLO
//	LISTENER ... LISTED         -->
//	                            <--              READY, or REFUSED
//	BATCH ...                   -->
//	                            <--              ACK ...
//	DONE                        -->
//	                            <--              BYE
//
// # Ownership
//
// The taker owns the listeners once its whole READY is sent, and the accepted items of a batch once
// its whole ACK is sent. What a socket takes is in the queue of the other end. So the giver needs
// only its own queue to know who owns what. When anything goes wrong, it first calls
// Transport.Shutdown, after which no send of the taker succeeds, then reads what is queued. What
// was acknowledged is the taker's, the rest is the giver's. A taker whose send fails closes its
// copies. A process that dies leaves the other one its copies.
//
// Both processes have the listeners from READY to BYE. The giver stops accepting when it has read
// READY. If the handover breaks later, it accepts again, and then both do, unless the taker is
// dead.
package handover
