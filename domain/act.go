package domain

import "time"

// ActsKept is how long the record of acts goes back.
const ActsKept = 400 * 24 * time.Hour

// An Act is something that an organiser or an operator did, or tried to do. It has no buyer's data.
type Act struct {
	ID      int64
	At      time.Time
	Who     string // the name of the organiser's token, or operator:USER
	Act     string // the operation's id, or the command
	Path    string // what it was done to: /v1/sales/…
	From    string // the network of the client, as the log may have it
	Request string // the id of the request, as in the log
	Status  int    // of the answer; 0: not known
}

// An ActFilter selects acts. The zero value of a field selects all, except Limit.
type ActFilter struct {
	SaleID string
	Before int64 // an Act.ID
	Limit  int
}
