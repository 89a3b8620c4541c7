package api

import (
	"context"
	"net/http"
	"time"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/payments"
	"boxoffice/restore"
	"boxoffice/waitingroom"
)

// A Desk changes checkouts and orders that exist. Every method may also fail with
// *domain.UnknownError: the outcome is not known, and the same call may be repeated.
type Desk interface {
	// Cancel ends a checkout that still waits for its payment, and returns its ending.
	// Errors: CodeAlreadyPaid if the money was faster, CodePaymentProcessing, CodeNotFound.
	Cancel(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error)
	// OpenPayment opens the page where a held order is paid, or finds it, at a provider that
	// must be called for that. Errors: CodeAlreadyPaid; CodeNotFound if the order is no longer
	// held.
	OpenPayment(ctx context.Context, id domain.OrderID, wish domain.PayWish) (domain.PayPage, error)
	// Refund gives a paid order's money and seats back. CodeNotPaid, CodeNotFound.
	Refund(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error)
	// CancelOrder cancels an order for the organiser, in any state: a checkout that waits
	// ends canceled, a paid order is refunded. It returns the order's status. Errors:
	// CodeNotFound.
	CancelOrder(ctx context.Context, id domain.OrderID) (domain.OrderStatus, error)
	// CancelSale starts the cancellation of a whole sale, or finds the one that was
	// started. It returns once no node can sell any more.
	CancelSale(ctx context.Context, saleID string, at time.Time) error
}

// Orders is the database of sales and of paid orders.
type Orders interface {
	// Sale finds a sale that is on offer. CodeNotFound.
	Sale(ctx context.Context, id string) (*domain.Sale, error)
	// CreateSale stores a validated sale, not yet on offer, and returns it with its
	// ledgers assigned. For the same sale again it returns the stored one. Errors:
	// CodeExists if a different sale has that id.
	CreateSale(ctx context.Context, sale *domain.Sale) (*domain.Sale, error)
	// ChangeSale changes what the ledger does not fix of a sale on offer. CodeNotFound,
	// CodeInvalid, CodeChanged.
	ChangeSale(ctx context.Context, change domain.SaleChange) (*domain.Sale, error)
	// SaleImage returns the file of the image that a sale has. CodeNotFound.
	SaleImage(ctx context.Context, saleID, hash string) ([]byte, error)
	// MarkSaleOpen puts a stored sale on offer, once its accounts are funded.
	MarkSaleOpen(ctx context.Context, id string) error
	// NoteClassCodes keeps what codes are made with, before the ledger makes them.
	NoteClassCodes(ctx context.Context, saleID string, codes []domain.ClassCodeID, only uint32, uses int64) error
	// NoteRevokedCodes keeps that codes are revoked, before the ledger revokes them.
	NoteRevokedCodes(ctx context.Context, saleID string, codes []domain.ClassCodeID) error
	// EndSale ends a sale early: nothing new is held. ReopenSale takes that back. Errors:
	// CodeNotFound, CodeSaleCanceled.
	EndSale(ctx context.Context, id string) error
	ReopenSale(ctx context.Context, id string) error
	// Order finds an order that was paid, whether or not it was refunded since. Errors:
	// CodeNotFound.
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	// ChangeHolders stores who tickets of an order are for. CodeNotFound, CodeInvalid,
	// CodeHoldersFixed.
	ChangeHolders(ctx context.Context, change domain.HoldersChange) (domain.SoldOrder, error)
	// RefundsOfOrder lists the refunds of money captured for an order, whether or
	// not it got tickets. None: an empty list.
	RefundsOfOrder(ctx context.Context, id domain.OrderID) ([]domain.Refund, error)
	// FindOrders lists the paid orders that match a filter, sorted by id.
	FindOrders(ctx context.Context, filter domain.OrderFilter) ([]domain.SoldOrder, error)
	// ReversalsOf lists the disputes of the orders' payments, and the refunds of them that
	// were made at the provider, oldest first. An order without any is missing.
	ReversalsOf(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID][]domain.Reversal, error)
	// Cancellation says how far the cancellation of a sale has come. CodeNotFound: the
	// sale is not canceled.
	Cancellation(ctx context.Context, saleID string) (domain.SaleCancellation, error)
}

// Books is what a new sale's accounts, and codes for its hidden classes, need from the ledger.
type Books interface {
	// OpenSale makes and funds the accounts of a stored sale. Repeating it changes
	// nothing.
	OpenSale(ctx context.Context, sale *domain.Sale) error
	// MakeCodes gives codes for the hidden classes of a sale their uses, and says which are new;
	// with a ledger, for the class of that ledger alone. CodeExists: one was made otherwise.
	MakeCodes(ctx context.Context, sale *domain.Sale, codes []domain.ClassCodeID, only uint32, uses int64) (isNew []bool, err error)
	// RevokeCodes revokes codes that the sale has, and says which were valid until now.
	RevokeCodes(ctx context.Context, sale *domain.Sale, codes []domain.ClassCodeID) (isNew []bool, err error)
	// ClassCodeUses counts the codes of a sale with hidden classes, and their uses.
	ClassCodeUses(ctx context.Context, sale *domain.Sale) (domain.ClassCodeUses, error)
}

// Capacities raise and lower the capacity of classes while their sale runs.
type Capacities interface {
	// Change gives a class another capacity. The same sale and key get the same answer. Errors:
	// CodeCapacityInUse, CodeInvalid, CodeNotFound, CodeSaleCanceled, CodeKeyReused, CodeInFlight.
	Change(ctx context.Context, saleID, class, key string, capacity int64) (domain.CapacityChange, error)
}

// Providers are the payment providers that are configured.
type Providers interface {
	// Event checks that a webhook comes from that provider, and reads it. CodeNotFound:
	// there is no such provider, or no such order. CodeForged: signature or timestamp
	// refused. CodeInvalid: signed, but not an event that we understand. For an event of
	// a type that we do not use it returns only the type.
	Event(ctx context.Context, provider string, header http.Header, body []byte) (domain.PaymentEvent, error)
	// Session asks a provider what became of a payment session. CodeNotFound: nobody ever
	// opened it.
	Session(ctx context.Context, session string) (payments.Session, error)
	// Wait is how long nothing is sent to a provider, because it answered with its rate
	// limit; 0: it can be asked.
	Wait(provider string) time.Duration
	// CheckAmount returns CodeInvalid for an amount that a provider cannot take; the detail
	// says why.
	CheckAmount(provider string, minor int64, currency string) error
	// Has reports whether a provider is configured. Default is the provider of new sales
	// that name none.
	Has(provider string) bool
	Default() string
	Names() []string
	// Authorizes reports whether a provider can authorise a payment first and capture it
	// later.
	Authorizes(provider string) bool
	// Delays reports whether a provider has methods whose payment is processed for a while.
	Delays(provider string) bool
}

// An Auditor compares the ledger, the orders and the provider for one sale; with an empty
// id, for what belongs to no sale.
type Auditor interface {
	Audit(ctx context.Context, saleID string) (audit.Report, error)
	// Restore restores the records of that sale that the audit finds lost. If apply is
	// false it writes nothing and says what it would restore.
	Restore(ctx context.Context, saleID string, apply bool) (restore.Report, error)
}

// Rooms are the waiting rooms of the sales that have one.
type Rooms interface {
	// Join takes a place and returns its token once the place is on disk. Errors:
	// CodeOverloaded (nothing was done), CodeSoldOut, CodeSaleClosed, CodeSaleCanceled.
	Join(ctx context.Context, sale *domain.Sale) (token string, place waitingroom.Place, err error)
	// Place says where a token is in the queue. Asking also says that its holder is still
	// there. CodeNotFound: forged, expired, or not for any sale.
	Place(ctx context.Context, token string) (waitingroom.Place, error)
	// State is what everybody may know about a sale's room. Errors: CodeNotFound.
	State(ctx context.Context, saleID string) (waitingroom.RoomState, error)
	// Proof shows that a token is on the list of its sale's draw. Errors: CodeNotFound if
	// it is not, or if there is no list (the detail says which); CodeOverloaded.
	Proof(ctx context.Context, token string) (waitingroom.Proof, error)
	// BindWitness records what a witness has committed to, before anybody has joined.
	// Errors: CodeInvalid, CodeNotFound.
	BindWitness(ctx context.Context, saleID, commitment string) error
	// Settle gives a draw what it waits for. Errors: CodeInvalid, CodeNotFound.
	Settle(ctx context.Context, saleID string, given waitingroom.Settlement) (waitingroom.RoomState, error)
	// Configure replaces the organiser's settings. Errors: CodeNotFound, CodeInvalid.
	Configure(ctx context.Context, saleID string, settings domain.QueueSettings) (waitingroom.RoomState, error)
}

// A HumanCheck makes joining a waiting room expensive for programs, while people do not
// notice.
type HumanCheck interface {
	// Challenge returns a new challenge for a sale. Solving it takes about 2 to the power
	// of difficultyBits attempts, and a solution counts until expiresAt. required is
	// false if the sale asks for none; the rest is then empty.
	Challenge(saleID string, now time.Time) (challenge string, difficultyBits int, expiresAt time.Time, required bool)
	// Verify fails with CodeProofRequired if there is no solution, or it is for another
	// sale, expired, or already used; with CodeOverloaded if that is not known. It also
	// returns nil if the sale asks for none.
	Verify(ctx context.Context, saleID, challenge, solution string, now time.Time) error
}

// A Check is something that must work before this node takes requests.
type Check struct {
	Name string
	// Probe says why it does not work. It must obey its context. /readyz shows the text:
	// no secrets.
	Probe func(ctx context.Context) error
	// Advisory: a failure is reported, but the node still takes requests.
	Advisory bool
}
