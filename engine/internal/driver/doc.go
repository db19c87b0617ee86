// Package driver is the seam between an event loop and its system.
//
// A loop stands on two things. A [Poller] waits for the events of its descriptors and delivers them
// to a [Sink], which is the loop. [Sockets] does the system calls on them. A [Backend] makes both,
// and the sockets. The backend is chosen at run time; build tags are for operating systems only.
//
// A loop is written against completions: these bytes arrived for token T, T can take more output, a
// connection was accepted. A readiness poller (epoll, kqueue) turns readiness into completions by
// reading into a buffer that the loop lends it. A completion poller, as for io_uring, hands over
// buffers of its own. Today only the simulator can act as one: see sim.Config.Completion.
//
// # Contract
//
//   - A Poller and its Sockets belong to one loop. Every method but Poller.Wake is called by that
//     loop's goroutine only.
//   - A descriptor is a small non-negative integer, which the Backend or Sink.Accepted handed out.
//     The loop owns it until Poller.Close. No Go pointer passes through the kernel: a registration
//     carries a Token.
//   - Events are level-triggered: what is not consumed is reported again by a later Poll.
//   - A Sink may leave events to a later Poll. So every batch begins elsewhere: see Rotation.
//   - An event can be stale: after the kernel reported it, its connection can have been closed and
//     its descriptor given to another one. Pollers deliver by Token, never by descriptor, and
//     Sink.Reading returns -1 for a stale one.
//   - A Sink method can panic, because a handler did. The Poller must stay usable: what it had not
//     yet delivered is delivered by the next Poll, or reported again by the kernel.
//   - Errors of reads and writes are errno values (syscall.Errno). EINTR never leaves a driver.
//     EAGAIN is syscall.EAGAIN.
//
// Package drivertest has the contract as tests.
package driver
