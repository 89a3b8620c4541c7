// Package probe reads from outside the box office what a load costs: CPU and memory of
// its processes, the service's metrics, Postgres's counters, Temporal's own count of a
// checkout's transitions and history, and the machine.
//
// It reads counters twice and subtracts. What cannot be read is named with its reason,
// and never reported as zero.
package probe
