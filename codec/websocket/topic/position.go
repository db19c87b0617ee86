package topic

import "github.com/myriadnet/myriad/codec/websocket"

// Position is the place of a message in its topic. Positions of one epoch are ordered by Seq. The
// zero Position is before every message.
type Position struct {
	// Epoch names the history that Seq counts in. It changes when a history is lost or begun anew:
	// then nothing can be said about what lies between two positions.
	Epoch uint64
	// Seq grows with each message of the topic, not always by one: see Message.Prev.
	Seq uint64
}

// Message is a message of a topic. It is immutable.
type Message struct {
	Position
	// Prev is the Seq of the topic's message before this one; 0 if this is the first one.
	Prev uint64
	Op   websocket.Opcode
	Data []byte

	forms *forms // what subscribers are sent
}

// Gap says that a subscriber may have missed messages after After and before Next. Next is the
// position of the next message that it gets, or zero if that is not known yet.
type Gap struct{ After, Next Position }

// Member is somebody who is present at a topic.
type Member struct {
	// ID is unique among the members of a topic. A member may be present several times, on several
	// connections: it joins with the first one and leaves with the last one.
	ID string
	// Info is what others are told about the member.
	Info []byte
}
