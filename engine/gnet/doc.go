// Package gnet runs event handlers written for github.com/panjf2000/gnet/v2 on package engine. It
// is a module of its own, for programs that move from there step by step.
//
// It has the names of gnet: a program that imports it instead compiles as it is. Conn, Option,
// Options, Action and what belongs to them are gnet's own types, so packages that take a gnet.Conn
// need no change. Engine, EventHandler and Client are types of this package, because gnet's have no
// exported fields. Adapt makes an EventHandler of a gnet.EventHandler.
//
// docs/gnet.md lists what differs, and shows the way from here to the native interface of package
// engine. The most important differences:
//   - Every buffer has a limit, which RunConfig can set: a peer that does not read is not read
//     from, and in the end closed.
//   - A panic in a handler closes its connection. The process goes on.
//   - Writes are gathered, and go out when the callback returns.
//   - Input can be read in OnTraffic only.
package gnet
