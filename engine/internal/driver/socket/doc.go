// Package socket has the system calls on sockets that all unix systems make in the same way, and
// what they do instead where they differ.
//
// An option without which a socket does something else than intended is essential: its error is
// returned. These are IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, multicast groups, and what SetOption
// sets. An option that only saves work is optional: a kernel or a sandbox without it goes on
// without it. These are TCP_NODELAY of new connections, TCP_DEFER_ACCEPT, IP_BIND_ADDRESS_NO_PORT,
// UDP_GRO, UDP_SEGMENT, SO_INCOMING_CPU, and the idle time of keep-alive.
package socket
