// Package probe reads what a load costs from outside of the box office: CPU and
// memory of its processes, the service's metrics, Postgres's counters, Temporal's
// own count of a checkout's transitions and history, and the machine.
//
// Counters are read twice and subtracted. What cannot be read is named with its
// reason and never reported as zero.
package probe
