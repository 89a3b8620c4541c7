// Package abuse sends bots to a running box office on loopback and tells what its limits
// leave them. What a limit promises must hold, or the drill fails; what no limit prevents is
// measured and said.
package abuse
