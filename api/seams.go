package api

import (
	"context"
	"net/http"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/restore"
	"boxoffice/waitingroom"
)

// A Desk changes checkouts and orders that there are. Every method may also fail with *domain.UnknownError:
// the outcome is not known and the same call may be repeated.
type Desk interface {
	// Cancel ends a checkout that still waits for its payment and answers its
	// ending. CodeAlreadyPaid when the money was faster, CodeNotFound.
	Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error)
	// OpenPayment opens the page where a held order is paid, at a provider that must be
	// called for that, or finds it. CodeAlreadyPaid, CodeNotFound: it is not held any more.
	OpenPayment(ctx context.Context, id domain.OrderID, wish domain.PayWish) (domain.PayPage, error)
	// Refund gives a paid order's money and seats back. CodeNotPaid, CodeNotFound.
	Refund(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error)
	// CancelOrder cancels an order for the organiser, whatever it takes: a
	// checkout that waits ends canceled, a paid order is refunded. It answers where
	// the order stands then. CodeNotFound.
	CancelOrder(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error)
	// CancelSale begins the cancellation of a whole sale, or finds the one that was
	// begun, and returns once no node can sell any more.
	CancelSale(ctx context.Context, saleID string, at time.Time) error
}

// Orders is the database of sales and of paid orders.
type Orders interface {
	// Sale finds a sale that is on offer. CodeNotFound.
	Sale(ctx context.Context, id string) (*domain.Sale, error)
	// CreateSale stores a validated sale, not yet on offer, and answers it with
	// its ledgers assigned. The same sale again is answered as it is stored;
	// CodeExists when one of that id differs.
	CreateSale(ctx context.Context, sale *domain.Sale) (*domain.Sale, error)
	// MarkSaleOpen puts a stored sale on offer, once its accounts are funded.
	MarkSaleOpen(ctx context.Context, id string) error
	// Order finds an order that was paid, refunded since or not. CodeNotFound.
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	// RefundsOfOrder lists the refunds of money captured for an order, whether or
	// not it got tickets. None: an empty list.
	RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error)
	// FindOrders lists the paid orders that a filter lets through, in the order of their ids.
	FindOrders(ctx context.Context, filter domain.OrderFilter) ([]domain.SoldOrder, error)
	// Cancellation tells how far the cancellation of a sale has come. CodeNotFound:
	// the sale is not canceled.
	Cancellation(ctx context.Context, saleID string) (domain.SaleCancellation, error)
}

// Books is the ledger as far as a new sale's accounts are concerned.
type Books interface {
	// OpenSale makes and funds the accounts of a stored sale. Repeating it
	// changes nothing.
	OpenSale(ctx context.Context, sale *domain.Sale) error
}

// Providers are the payment providers that are configured.
type Providers interface {
	// Event checks that a webhook comes from that provider and reads it.
	// CodeNotFound: there is no such provider, or no such order. CodeForged: signature
	// or timestamp refused; CodeInvalid: signed, but not an event that we understand.
	// Of one whose type is not ours it gives the type.
	Event(ctx context.Context, provider string, header http.Header, body []byte) (domain.PaymentEvent, error)
	// Has reports whether a provider is configured; Default is that of new sales that
	// name none.
	Has(provider string) bool
	Default() string
	Names() []string
}

// An Auditor compares the ledger, the orders and the provider for one sale; of
// the empty id, for what belongs to no sale.
type Auditor interface {
	Audit(ctx context.Context, saleID string) (audit.Report, error)
	// Restore puts back the records of that sale that the audit finds lost; where
	// it is not to apply it writes nothing and tells what it would.
	Restore(ctx context.Context, saleID string, apply bool) (restore.Report, error)
}

// Rooms are the waiting rooms of the sales that have one.
type Rooms interface {
	// Join takes a place and answers its token once the place is on disk. CodeOverloaded:
	// nothing was done. CodeSoldOut, CodeSaleCanceled.
	Join(ctx context.Context, sale *domain.Sale) (token string, place waitingroom.Place, err error)
	// Place is where a token stands. Asking says that its holder is still there.
	// CodeNotFound: forged, expired, of no sale.
	Place(ctx context.Context, token string) (waitingroom.Place, error)
	// State is what everybody may know of a sale's room. CodeNotFound.
	State(ctx context.Context, saleID string) (waitingroom.RoomState, error)
	// Proof shows that a token is on the list of its sale's draw. CodeNotFound: it is not, or
	// there is no list, which the detail says. CodeOverloaded.
	Proof(ctx context.Context, token string) (waitingroom.Proof, error)
	// BindWitness notes what a witness has committed to, before anybody has joined.
	// CodeInvalid, CodeNotFound.
	BindWitness(ctx context.Context, saleID, commitment string) error
	// Settle gives a draw what it waits for. CodeInvalid, CodeNotFound.
	Settle(ctx context.Context, saleID string, given waitingroom.Settlement) (waitingroom.RoomState, error)
	// Configure replaces what the organiser sets. CodeNotFound, CodeInvalid.
	Configure(ctx context.Context, saleID string, settings domain.QueueSettings) (waitingroom.RoomState, error)
}

// A HumanCheck makes joining a waiting room cost a program something that a
// person does not notice.
type HumanCheck interface {
	// Challenge is a new one for a sale. Solving it takes about 2 to the power of
	// difficultyBits attempts, and counts until expiresAt. required is false where
	// the sale asks for none; the rest is then empty.
	Challenge(saleID string, now time.Time) (challenge string, difficultyBits int, expiresAt time.Time, required bool)
	// Verify fails with CodeProofRequired: no solution, of another sale, expired, or
	// used before. CodeOverloaded: it is not known. nil also where the sale asks for none.
	Verify(ctx context.Context, saleID, challenge, solution string, now time.Time) error
}

// A Check is one thing that must work before this node takes requests.
type Check struct {
	Name string
	// Probe says why it does not work; it must heed its context. The text is
	// shown on /readyz: no secrets.
	Probe func(ctx context.Context) error
	// Advisory: a failure is reported, and the node takes requests all the same.
	Advisory bool
}
