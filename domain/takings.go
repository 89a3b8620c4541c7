package domain

// A Taking is an order that holds or held seats of a sale, by the ledger's own transfers,
// whatever happened to them since.
type Taking struct {
	Order    OrderID
	Buyer    BuyerID
	Quantity int64 // of tickets, over all classes
}

// TakingsPage is one page of a sale's takings, in the ledger's order.
type TakingsPage struct {
	Takings []Taking
	// Next is where the following page begins. Nothing will be booked before it, so reading on from here, now or later, misses nothing.
	Next TakingsCursor
	// More says that the page was full: there may already be more.
	More bool
}

// TakingsCursor is a place in a sale's takings: a timestamp of the ledger in nanoseconds.
// Zero is the beginning.
type TakingsCursor uint64
