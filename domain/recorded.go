package domain

// A RecordedOrder is what an audit needs of a sold order, as the database has it.
type RecordedOrder struct {
	ID        OrderID
	Status    OrderStatus // paid, refunding or refunded
	Payment   string
	Session   string
	PerkTaken bool
	Tickets   map[string]int64 // how many are stored, by class

	AmountMinor int64  // what was paid, as recorded
	Currency    string // of the payment
	LinesMinor  int64  // what the lines cost together
}

// An EventCount sets the events of one kind against the rows that they tell of.
type EventCount struct {
	Event  EventType
	Events int64
	Rows   int64
	// Lone names payments that have only one of the two, some of them.
	Lone []string
}
