package domain

import (
	"fmt"
	"strings"
	"time"
)

// ErasureOrdersMax is how many orders may be named at once.
const ErasureOrdersMax = 1000

// An ErasureRequest says whose personal data goes: that of an address, or what belongs to
// the orders that are named. Whoever repeats an erasure, after a backup was restored, names
// the orders: so nobody has to keep the address.
type ErasureRequest struct {
	Email  string // in its normal form; empty: Orders
	Orders []OrderID
}

// An Erasure says which orders have no personal data any more. It is the same however often
// it is asked for.
type Erasure struct {
	Orders []OrderID // those that were sold, sorted
	Unsold []OrderID // checkouts that ended without a sale, sorted
}

// A BuyersOrder is a sold order whose buyer's data is to go.
type BuyersOrder struct {
	ID       OrderID
	Status   OrderStatus
	Email    string // empty: it is gone
	ErasedAt time.Time
}

// namedMax is how many orders an error names.
const namedMax = 10

// NotSettled returns the *Error for orders that cannot be erased yet, and says why.
func NotSettled(why string, orders []string) *Error {
	more := ""
	if len(orders) > namedMax {
		more = fmt.Sprintf(" and %d more", len(orders)-namedMax)
	}
	return &Error{
		Code: CodeNotSettled,
		Detail: fmt.Sprintf("Nothing was erased: %s (order %s%s). Repeat the request when that is over.",
			why, strings.Join(orders[:min(len(orders), namedMax)], ", "), more),
	}
}
