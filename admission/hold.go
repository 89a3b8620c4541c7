package admission

import (
	"context"
	"errors"
	"fmt"
	"time"

	"boxoffice/domain"
)

// A Request asks for seats.
type Request struct {
	SaleID     string
	Key        string // names the checkout: the same key is the same order and gets the same answer
	QueueToken string // identifies the checkout instead of the key if the sale has a waiting room
	Items      []domain.Item
	Email      string
	Code       string // for hidden classes, as the buyer wrote it; empty: none
	Metadata   domain.Metadata
}

// An Answer is a hold: the seats wait for their payment.
type Answer struct {
	Order    domain.Order
	Hold     domain.Hold
	Replayed bool // the key came before, this is its answer
}

// A LimitReachedError is the ledger's no to a buyer who would have more than the sale
// allows.
type LimitReachedError struct {
	Sale *domain.Sale
	// CheckoutOpen: it is because the buyer has a checkout that waits for its payment.
	CheckoutOpen bool
}

// Error implements error.
func (e *LimitReachedError) Error() string { return e.Unwrap().Error() }

// Unwrap is what to say if we do not know who asks.
func (e *LimitReachedError) Unwrap() error { return &domain.Error{Code: domain.CodeLimitReached} }

// ErrNoRooms is the refusal of a node that runs no waiting rooms.
var ErrNoRooms = &domain.Error{Code: domain.CodeOverloaded, Detail: "Waiting rooms are not available here."}

// Hold asks for seats, in the order of the package's doc. It fails with what refuses the
// request, with *LimitReachedError, or like [Desk].Start.
func (a *Admission) Hold(ctx context.Context, r Request) (Answer, error) {
	sale, err := a.catalog.Sale(ctx, r.SaleID)
	if err != nil {
		return Answer{}, err
	}
	key, err := a.keyOf(ctx, sale, &r)
	if err != nil {
		return Answer{}, err
	}
	code, err := a.ClassCode(ctx, sale, r.Code)
	if err != nil {
		return Answer{}, err
	}
	order, err := domain.NewOrderWithCode(sale, a.keys, key, r.Items, r.Email, code)
	if err != nil {
		return Answer{}, err
	}
	order.Extend(sale, time.Now())
	if err := order.Note(a.keys, r.Metadata); err != nil {
		return Answer{}, err
	}
	if code != nil {
		if err := a.passCode(ctx, code, &order); err != nil {
			return Answer{}, err
		}
	}
	answer, err := a.hold(ctx, sale, key, &order)
	if err == nil {
		err = a.verdict(ctx, sale, &order, answer.Hold)
	}
	if err != nil {
		a.load.refused(ctx, err)
		return Answer{}, err
	}
	return Answer{order, answer.Hold, answer.Replayed}, nil
}

// RefuseAtOnce is what Hold would return, if memory alone is enough to know that it is a
// refusal; nil if Hold must be asked.
func (a *Admission) RefuseAtOnce(ctx context.Context, r *Request) error {
	sale := a.catalog.saleInMemory(r.SaleID)
	if sale == nil || sale.WaitingRoom || r.Code != "" { // the ledger knows codes
		return nil
	}
	order, err := domain.SketchOrder(sale, a.keys, r.Key, r.Items, r.Email)
	if err != nil {
		return nil
	}
	if judged, refusal := a.gate.judge(ctx, sale, &order); judged == refused {
		a.countSoldOut(refusal)
		return refusal
	}
	if a.maySell() != nil {
		return nil // Hold has to say
	}
	if e := a.in(sale.Cell); e.bound.refuses(time.Now()) {
		err := a.notAdmitted(e, byBound, errBoundReached, a.gate.left(sale.ID, order.Lines))
		a.load.refused(ctx, err)
		return err
	}
	return nil
}

// keyOf is the key of a checkout: its Idempotency-Key, or, if the sale has a waiting
// room, that of the token. So a token is good for one order.
func (a *Admission) keyOf(ctx context.Context, sale *domain.Sale, r *Request) (string, error) {
	switch {
	case !sale.WaitingRoom:
		return r.Key, nil
	case a.rooms == nil:
		return "", ErrNoRooms
	}
	key, err := a.rooms.Enter(ctx, sale, r.QueueToken)
	if err != nil && sale.Canceled() {
		return "", &domain.Error{Code: domain.CodeSaleCanceled}
	}
	return key, err
}

func (a *Admission) hold(ctx context.Context, sale *domain.Sale, key string, order *domain.Order) (domain.HoldAnswer, error) {
	if sale.WaitingRoom {
		return a.holdByToken(ctx, sale, key, order)
	}
	leave, err := a.enter(ctx, sale, order)
	if err != nil {
		return domain.HoldAnswer{}, err
	}
	return a.start(ctx, sale, order, leave)
}

// ClassCode finds what the books have of a code that a buyer wrote; nil for an empty one. Errors:
// *domain.Error with CodeClassCodeRefused, with CodeOverloaded without an answer of the ledger.
func (a *Admission) ClassCode(ctx context.Context, sale *domain.Sale, shown string) (*domain.ClassCode, error) {
	if shown == "" {
		return nil, nil
	}
	normal, ok := domain.NormalSecretCode(shown)
	if !ok || !sale.HasHidden() {
		return nil, &domain.Error{Code: domain.CodeClassCodeRefused}
	}
	ctx, cancel := context.WithTimeout(ctx, stockTimeout)
	defer cancel()
	code, err := a.books.ClassCode(ctx, sale, a.keys.ClassCodeID(sale.ID, normal))
	switch {
	case domain.CodeOf(err) == domain.CodeClassCodeRefused && err != nil:
		return nil, err
	case err != nil:
		return nil, &domain.Error{Code: domain.CodeOverloaded, Err: fmt.Errorf("look up a code of sale %s: %w", sale.ID, err)}
	}
	return &code, nil
}

// passCode refuses an order whose code is revoked or has no use left, without a workflow: a code
// may become known to many. A key with an answer passes. Whether a use is left is only known to the ledger
// once it holds the order.
func (a *Admission) passCode(ctx context.Context, code *domain.ClassCode, order *domain.Order) error {
	if code.Left > 0 && !code.Revoked {
		return nil
	}
	known, err := a.known(ctx, order)
	if err != nil || known {
		return err
	}
	if code.Revoked {
		return &domain.Error{Code: domain.CodeClassCodeRefused}
	}
	return codeSpent(code.Held)
}

// codeSpent refuses a code; some of its uses may come back.
func codeSpent(held int64) *domain.Error {
	spent := &domain.Error{Code: domain.CodeClassCodeSpent}
	if held > 0 {
		spent.Detail = "Nothing is held with it: an order that waits for its payment has its use, which may come back. A new try takes a new Idempotency-Key."
		spent.RetryAfter = heldRetryAfter
	}
	return spent
}

// enter refuses an order that needs no engine, or gives it a permit. The holder of the
// permit must leave it, or call start, which does.
func (a *Admission) enter(ctx context.Context, sale *domain.Sale, order *domain.Order) (permit, error) {
	if err := a.passGate(ctx, sale, order); err != nil {
		return nil, err
	}
	if err := a.maySell(); err != nil {
		return nil, err
	}
	leave, waited, err := a.admit(ctx, order)
	if err != nil || !waited {
		return leave, err
	}
	isUsed := false
	defer func() {
		if !isUsed { // even if what follows panics
			leave(0, errPermitNotUsed)
		}
	}()
	if err := a.passGate(ctx, sale, order); err != nil { // the seats may have gone meanwhile
		return nil, err
	}
	isUsed = true
	return leave, nil
}

// passGate answers most requests of an on-sale: no workflow, one look at what the gate
// remembers. It refuses only a key without another answer: the key that holds the last
// ticket must find it again, and the one that was over the limit stays so. If the ledger
// does not answer, nothing is started: overload must not make more work.
func (a *Admission) passGate(ctx context.Context, sale *domain.Sale, order *domain.Order) error {
	judged, refusal := a.gate.judge(ctx, sale, order)
	if judged == doubtful {
		known, err := a.known(ctx, order)
		switch {
		case err != nil:
			return err
		case !known:
			judged = refused
		}
	}
	if judged != refused {
		return nil // there may be seats, or the Desk has its answer
	}
	a.countSoldOut(refusal)
	return gateRefusal{refusal}
}

// A gateRefusal is an error of the gate: nothing can be held, and the key has no answer.
type gateRefusal struct{ why *domain.Error }

// Error implements error.
func (r gateRefusal) Error() string { return r.why.Error() }

// Unwrap is the refusal itself.
func (r gateRefusal) Unwrap() error { return r.why }

func isGateRefusal(err error) bool { return errors.As(err, new(gateRefusal)) }

func (a *Admission) countSoldOut(refusal *domain.Error) {
	if refusal.Code == domain.CodeSoldOut {
		a.metrics.soldOut.WithLabelValues(soldOutByGate).Inc()
	}
}

// known asks the ledger whether an order that the gate would refuse has an answer. The
// number of such lookups at a time is limited. It fails with an *Error with CodeOverloaded.
func (a *Admission) known(ctx context.Context, order *domain.Order) (bool, error) {
	select {
	case a.lookups <- struct{}{}:
		defer func() { <-a.lookups }()
	default:
		return false, &domain.Error{Code: domain.CodeOverloaded}
	}
	a.metrics.lookups.Inc()
	ctx, cancel := context.WithTimeout(ctx, stockTimeout)
	defer cancel()
	known, err := a.books.Known(ctx, order)
	if err != nil {
		return false, &domain.Error{Code: domain.CodeOverloaded, Err: fmt.Errorf("look up order %s, which the gate refuses: %w", order.ID, err)}
	}
	return known, nil
}

// start asks the Desk under an order's permit, which ends with it, and reports the
// outcome to the gate and to the doors of the waiting rooms. It fails like the Desk, and
// with CodeOverloaded while the checkouts' breaker is open.
func (a *Admission) start(ctx context.Context, sale *domain.Sale, order *domain.Order, leave permit) (answer domain.HoldAnswer, err error) {
	began := time.Now()
	defer func() { leave(time.Since(began), err) }() // even if the Desk panics
	answer, err = Guard(ctx, a.in(order.Cell).Breakers.Checkouts, func() (domain.HoldAnswer, error) { return a.desk.Start(ctx, *order) })
	a.load.held(ctx, sale, began, err)
	if err == nil {
		a.gate.learn(sale, order, answer.Hold)
	}
	return answer, err
}

// verdict turns the ledger's no into an error. An outcome that this release does not know
// is not a no.
func (a *Admission) verdict(ctx context.Context, sale *domain.Sale, order *domain.Order, hold domain.Hold) error {
	switch hold.Outcome {
	case domain.HoldHeld:
		return nil
	case domain.HoldLimitReached:
		if hold.CodeUsed {
			return codeSpent(0)
		}
		return &LimitReachedError{sale, hold.CheckoutOpen}
	case domain.HoldSoldOut:
		a.metrics.soldOut.WithLabelValues(soldOutByDesk).Inc()
		levels, err := a.catalog.Stock(ctx, sale)
		if err != nil {
			return &domain.Error{Code: domain.CodeSoldOut, Detail: "Not enough tickets are left.", Err: err}
		}
		return soldOut(order.Lines, levels)
	default:
		return &domain.UnknownError{Op: "hold", ID: order.ID.String()}
	}
}
