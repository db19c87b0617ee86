// Package wsgnet serves WebSockets on github.com/panjf2000/gnet/v2, by package wsproto. It is a
// module of its own, for programs that stay on gnet. Those that use package engine have package
// websocket, which does more and costs less.
//
// A Server is a gnet.EventHandler: give it to gnet.Run, or embed it in a handler that has OnBoot,
// OnShutdown and OnTick. It does the opening handshake, unmasks, puts fragments together, checks
// UTF-8, inflates, answers pings, does the closing handshake, and keeps every limit of
// wsproto.Limits. Its handshakes are strict, and pages of other origins are refused unless
// Server.Origins lists them.
//
// When the engine ends, the peers get a Close frame with the code GoingAway. A panic in a callback
// ends the process, as in every handler of gnet.
//
// What a callback sends goes out in one write when all messages that have arrived are delivered.
package wsgnet
