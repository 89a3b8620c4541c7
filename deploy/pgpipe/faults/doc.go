// Package faults has no code of its own. Its test runs a real Temporal server on pgpipe
// under load, kills and stops it and its Postgres in every way, and compares what was
// acknowledged with what is there afterwards.
package faults
