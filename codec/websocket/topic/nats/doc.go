// Package nats is a Broker of topics for many nodes, on NATS with JetStream.
//
//	broker := &nats.Broker{URL: "nats://a,nats://b,nats://c", Replicas: 3}
//	hub := &topic.Hub{Broker: broker}
//	...
//	broker.Close(ctx) // after the Hub's
//
// It needs nats-server 2.11 or later with JetStream. It is a module of its own, so that nats.go is
// a dependency only of those who import it.
//
// # How it works
//
// Messages are published to the subject <prefix>.in.<topic> and stored by one stream, which puts
// them in order and republishes them to <prefix>.out.<topic>. Nodes subscribe to those with plain
// subscriptions, one per topic and node. Each message has its sequence and that of the topic's
// message before it, so a node notices what it has missed with the next message, and reads it from
// the stream. There are no consumers, and no goroutine per topic.
//
// Bytes of a topic that mean something in subjects are escaped as %XX, so a topic is always one
// literal token of a subject.
//
// Messages of one topic that wait on one node travel together, as one message of NATS. A node has
// one of those per topic on its way at a time, so messages do not overtake each other when they
// are sent again. The lowest 8 bits of Position.Seq count within it, and the others are the
// sequence of the stream.
//
// # What is promised
//
//   - All nodes see the messages of a topic in one order. Those of one publisher keep their order.
//   - A message is delivered at most once per node and topic, also if the stream has it twice
//     because it has lost the identifiers by which it recognizes what is sent again. A node
//     remembers the newest message of each node that published to a topic within the last two
//     minutes. It cannot know of messages from before it had the topic: then the second one is
//     delivered.
//   - A node that misses messages gets them from the stream, or is told of a gap. If no later
//     message shows the loss, a check does: after each reconnect, when the stream has a new leader,
//     and every CheckInterval. So a loss is noticed CheckInterval after NATS answers again, at the
//     latest.
//   - Publish does not block. What it has taken is stored, or Failed is called. Failed may be
//     called for messages that were stored all the same.
//   - Nothing is sent again after the stream has begun anew, so that nothing comes twice.
//
// What the stream keeps (KeepMessages, KeepAge) is what can be mended. Topics whose Options ask for
// more history get less.
//
// # Failures
//
//	what fails                  what subscribers see          what publishers see
//	connection of a node        a pause, then what was        messages wait for PublishTimeout and
//	                            missed, from the stream       are sent again; ErrBusy if the queue
//	                                                          is full, then ErrDown
//	server, stream in files     the same                      the same
//	server, stream in its       Gap: the epoch is new         messages on their way fail with
//	memory only                                               ErrReset, others are sent
//	stream, deleted             the same: it is made anew     the same
//	one of three servers,       a pause of a few seconds      messages are sent again
//	3 replicas                  at most, nothing lost
//	leader dies after it has    the message after the next    nothing, or the message is sent again
//	stored, before it has sent  check, or with the next one   and recognized
//	majority of the servers     a pause until it is back      as without a connection
//	slow node (4,096 messages   what was missed, from the     nothing
//	wait for a goroutine)       stream; or Gap
//	node that dies              members leave within 5 s      what waited on the node is lost
//	node that is stopped        members leave after 4 s and   nothing
//	and goes on                 come back; then what was
//	                            missed, or Gap
//	messages older than         Gap, for who was away         nothing
//	KeepAge or KeepMessages     longer than that
//
// NATS itself may lose acknowledged messages of a stream in files if the machine loses power, and
// of a stream in memory if a majority of its servers restarts at once. If that takes the messages
// but not the stream, sequences are used again; the epoch is a message of the stream and goes
// with the others, so that this is a new epoch, too. If it takes only the newest messages, a
// check begins a new epoch, unless as many have been stored since. Use files and 3 replicas, and
// servers in different places, if that matters.
//
// # Presence
//
// Presence does not use the stream. Nodes tell each other of their members, and keep tables of
// those topics that they follow. A message that is lost is noticed with the next one, or within
// 20 s. A node that is not heard for 4 s takes its members with it until it is heard again.
//
// # Sizing
//
// The stream's memory is that of the messages it keeps, 150 bytes more for each message of NATS,
// and that of the replicas. A check costs a node two requests, one more for each 256 topics, and
// the newest message of each topic that had one since the last check. A node takes part in each
// topic that its Hub has subscribers for; nothing else is sent to it.
package nats
