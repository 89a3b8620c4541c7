package workflows

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"

	"boxoffice/domain"
)

// Names that outside tools rely on: `temporal workflow signal --name payment`
// must go on working for checkouts that are under way.
const (
	TaskQueue = "checkouts"

	PaymentUpdate = "payment" // argument domain.PaymentEvent, answers PaymentAnswer once handled
	PaymentSignal = "payment" // argument domain.PaymentEvent: the durable way in when no worker is up
	CancelUpdate  = "cancel"  // answers PaymentAnswer: canceled, or what it was too late for
	// OpenSessionUpdate: argument domain.PayWish, answers PayAnswer.
	OpenSessionUpdate = "open_session"
	AwaitHoldUpdate   = "await_hold" // argument: the order's fingerprint; answers domain.Hold
	StateQuery        = "state"      // answers domain.CheckoutState; of a sale's cancellation, domain.SaleCancellation

	AwaitClosedUpdate = "await_closed" // of a sale's cancellation: answers nothing once no node can sell any more
)

// Search attributes; both must be registered as Keyword.
var (
	// SaleAttribute is set at the start.
	SaleAttribute = temporal.NewSearchAttributeKeyKeyword("Sale")
	// EndingAttribute is an OrderStatus, set at the close of a checkout that
	// did not end paid: each upsert is an event and a write, and paid is what
	// nobody searches for.
	EndingAttribute = temporal.NewSearchAttributeKeyKeyword("Ending")
)

// CheckoutID is the workflow id of an order's checkout.
func CheckoutID(order domain.OrderID) string { return "checkout/" + order.String() }

// LateID is the workflow id of a payment that came after the end.
func LateID(order domain.OrderID, payment string) string {
	return "late/" + order.String() + "/" + payment
}

// RefundID is the workflow id of an organiser's refund.
func RefundID(order domain.OrderID) string { return "refund/" + order.String() }

// CancelSaleID is the workflow id of a whole sale's cancellation.
func CancelSaleID(saleID string) string { return "cancel-sale/" + saleID }

// PaymentAnswer is what the handler of a payment or a cancel answers: the state
// of the order once the message has been dealt with.
type PaymentAnswer struct {
	Status domain.OrderStatus `json:"status"`
}

// reject refuses an update before it enters history. The type is a domain.Code,
// which CodeOfRejection reads back on the client's side.
func reject(code domain.Code, detail string) error {
	return temporal.NewNonRetryableApplicationError(detail, string(code), nil)
}

// CodeOfRejection gives the code with which a workflow refused an update or
// failed, and false where its error carries none. Temporal wraps errors in
// errors of its own and of Go's types: the first one that speaks our vocabulary
// counts.
func CodeOfRejection(err error) (domain.Code, bool) {
	var refused *temporal.ApplicationError
	for errors.As(err, &refused) {
		if code := domain.Code(refused.Type()); slices.Contains(domain.Codes, code) {
			return code, true
		}
		err = refused.Unwrap()
	}
	return "", false
}
