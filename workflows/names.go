package workflows

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"

	"boxoffice/domain"
)

// Names that outside tools rely on: `temporal workflow signal --name payment` must keep
// working for open checkouts.
const (
	TaskQueue = "checkouts"

	PaymentUpdate = "payment" // argument domain.PaymentEvent, answers PaymentAnswer once handled
	PaymentSignal = "payment" // argument domain.PaymentEvent: the durable way in when no worker is up
	CancelUpdate  = "cancel"  // answers PaymentAnswer: canceled, or the state that made it too late
	// OpenSessionUpdate: argument domain.PayWish, answers PayAnswer.
	OpenSessionUpdate = "open_session"
	AwaitHoldUpdate   = "await_hold" // argument: the order's fingerprint; answers domain.Hold
	StateQuery        = "state"      // answers domain.CheckoutState; of a sale's cancellation, domain.SaleCancellation

	AwaitClosedUpdate = "await_closed" // of a sale's cancellation: answers nothing, once no node can sell any more
)

// Search attributes. Register both as Keyword.
var (
	// SaleAttribute is set at the start.
	SaleAttribute = temporal.NewSearchAttributeKeyKeyword("Sale")
	// EndingAttribute is an OrderStatus, set when a checkout ends other than paid. Each
	// upsert is an event and a write, and nobody searches for paid ones.
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

// PaymentAnswer answers a payment or a cancel: the state of the order once the message
// has been handled.
type PaymentAnswer struct {
	Status domain.OrderStatus `json:"status"`
}

// reject refuses an update before it enters history. The error's type is a domain.Code,
// which CodeOfRejection reads back on the client's side.
func reject(code domain.Code, detail string) error {
	return temporal.NewNonRetryableApplicationError(detail, string(code), nil)
}

// CodeOfRejection returns the code with which a workflow refused an update or failed, and
// false if the error has none. Temporal wraps errors in errors of its own and of Go's
// types; the first one with a code of ours counts.
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
