// Package visibility makes Temporal's table for lists and searches cheap to write, and takes that back.
//
// Temporal's schema is made for any search attribute that a workflow may have: 59 of them have a generated column and an
// index each, and every write (three a checkout) computes and opens them all. A checkout sets three. Measured, that was
// more than half of what those writes cost Postgres, and two thirds of a checkout's write-ahead log (docs/lab/performance-notebook.md).
// What can be searched, and by which names, stays as it was; a search of an attribute reads rows instead of an index. The same goes
// for the indexes of lengths, durations, parents and the like: with 15 indexes the three writes took 0.31 ms and 12.5 kB of log, with 4
// they take 0.18 ms and 5.9 kB.
//
// Nothing here is for a production cluster, whose lists may be searched more than they are written.
package visibility

import _ "embed"

var (
	//go:embed lean.sql
	lean string
	//go:embed stock.sql
	stock string
)

// Lean is the statement for cheap writes. The second time it does nothing.
func Lean() string { return lean }

// Stock is the statement that undoes Lean, so that an update of the schema finds what it
// was written for. It does nothing if the table is as Temporal made it, or does not exist
// yet.
func Stock() string { return stock }
