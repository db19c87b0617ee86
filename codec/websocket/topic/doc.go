// Package topic is publish and subscribe for WebSocket connections on event loops, in one process
// or across nodes.
//
//	var hub topic.Hub
//	server := &websocket.Server{
//		Open: func(c *websocket.Conn) { hub.Subscribe(c, "room") },
//		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
//			hub.Publish("room", op, data)
//		},
//	}
//
// A Hub keeps its subscribers per loop. A message is encoded once, compressed once for each size of
// window, and handed to each loop that has subscribers. Closed connections leave by themselves.
//
// # Delivery
//
// Every message of a topic has a Position. All subscribers of a topic, on all nodes, see its
// messages in one order: a message always goes through the Broker, also to subscribers on the node
// that published it. There is no order between topics.
//
// A subscriber gets each message at most once. If it cannot get some, because it was slow, because
// a loop or a node was overloaded, or because the broker has lost them, the Hub gets them from the
// history of the topic. Without history, or if it does not reach back far enough, the subscriber is
// told that there is a Gap. Topics that conflate skip messages on purpose, and tell of no gap.
//
// There is one exception. A client that comes back to another node while an epoch begins may know
// messages of the new epoch that this node has not seen yet. It is told of a gap, and may get them
// again.
//
// # Nodes
//
// The zero Hub works within one process. Package topic/nats, a module of its own, has a Broker for
// many nodes. The guide docs/topics.md has the semantics, the limits and what each failure loses.
package topic
