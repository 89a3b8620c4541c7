package domain

import "time"

// Arrivals is how many people had joined a sale's waiting room at a time before its opening, and
// how many have in all.
type Arrivals struct {
	Sale    string
	OpensAt time.Time
	Joined  int64
	Came    int64
}

// SaleArrivals are a sale's arrivals so far, and what past sales had as long before their
// openings.
type SaleArrivals struct {
	Arrivals
	Now  time.Time // of the database
	Past []Arrivals
}

// UntilOpening is how long before the opening that is; zero once it has passed.
func (a *SaleArrivals) UntilOpening() time.Duration { return max(a.OpensAt.Sub(a.Now), 0) }
