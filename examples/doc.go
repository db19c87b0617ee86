// Package examples has no code of its own. Its tests run the programs below it as a user would: as
// processes, over real sockets, ended by a signal.
package examples
