package mockpay

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"go.etcd.io/bbolt"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

// undeliveredMax limits the webhooks that wait for the box office. Above it no payment is
// taken, because it could not be reported.
const undeliveredMax = 1_000_000

// A Refusal is the bank's definite no. Nothing changed except what it says.
type refusal struct {
	code   refusalCode
	detail string
}

func (r *refusal) Error() string { return string(r.code) + ": " + r.detail }

// refusalCode is the problem's stable code.
type refusalCode string

const (
	refusedInvalid  refusalCode = "invalid"         // the request breaks a rule
	refusedNotFound refusalCode = "not_found"       // no such session or payment
	refusedClosed   refusalCode = "session_closed"  // the session already ended otherwise
	refusedLink     refusalCode = "link_differs"    // the session was opened with other terms
	refusedForged   refusalCode = "forged"          // the box office did not make the pay link
	refusedRefund   refusalCode = "refund_differs"  // exceeds the capture, or contradicts an earlier refund
	refusedDispute  refusalCode = "dispute_differs" // it cannot become what was asked for
	refusedCapture  refusalCode = "capture_differs" // that capture was made with other terms
	refusedRefunds  refusalCode = "refunds_refused" // mischief: no refunds for a while
	refusedFailing  refusalCode = "internal"        // mischief: the answer does not say whether anything was done
	refusedOverload refusalCode = "overloaded"      // nothing was done: try later
)

func refuse(code refusalCode, format string, args ...any) *refusal {
	return &refusal{code: code, detail: fmt.Sprintf(format, args...)}
}

// bank takes payments. Every method returns a *refusal for a definite no; any
// other error is the store's.
type bank struct {
	store     *store
	courier   *courier
	trickster *trickster
	now       func() time.Time
}

// visit opens the session of a pay link, or finds it.
func (b *bank) visit(link mockpay.PayLink) (mockpay.Session, error) {
	session, err := b.session(link.Order)
	var r *refusal
	if !errors.As(err, &r) { // visited before: no need to write
		if err == nil && !session.agrees(&link) {
			err = refuse(refusedLink, "Session %s was opened for another amount.", session.Session)
		}
		return b.asOfNow(session), err
	}
	return b.decide(func(tx *bbolt.Tx) (sessionRecord, *refusal, error) {
		return openSession(tx, link.Order, &link)
	})
}

// pay ends an open session, or an attempt in it that is declined. If there is a link, it
// opens the session first. The same outcome again gets the same answer as the first time,
// and so does an attempt that was declined, if the request says which attempt it is.
func (b *bank) pay(order domain.OrderID, request mockpay.PayRequest, link *mockpay.PayLink) (mockpay.Session, error) {
	end, ok := endings[request.Outcome]
	if !ok {
		return mockpay.Session{}, refuse(refusedInvalid, "The outcome must be succeeded, declined, processing, failed or canceled.")
	}
	if err := b.checkUndelivered(); err != nil {
		return mockpay.Session{}, err
	}
	events, err := newEventIDs()
	if err != nil {
		return mockpay.Session{}, err
	}
	var ended *ended
	session, err := b.decide(func(tx *bbolt.Tx) (sessionRecord, *refusal, error) {
		s, refused, err := openSession(tx, order, link)
		if refused != nil || err != nil {
			return s, refused, err
		}
		now := b.now().UTC()
		switch {
		case request.Attempt > 0 && request.Attempt <= s.Declines, s.Status == end.status && s.Status != mockpay.SessionOpen,
			s.Status == mockpay.SessionAuthorized && end.status == mockpay.SessionCaptured:
			return s, nil, nil
		case s.Status == mockpay.SessionProcessing && isResult(request.Outcome): // whatever the time is
		case s.Status != mockpay.SessionOpen:
			return s, refuse(refusedClosed, "Session %s is %s: it was decided before.", s.Session, s.Status), nil
		case end.status == mockpay.SessionProcessing && !s.Delayed:
			return s, refuse(refusedInvalid, "Session %s takes only payments that are decided at once: its sale has no processing_seconds.", s.Session), nil
		case !now.Before(s.ExpiresAt):
			s.Status, s.EndedAt = mockpay.SessionExpired, now
			return s, refuse(refusedClosed, "Session %s expired at %s.", s.Session, s.ExpiresAt.Format(time.RFC3339)), s.save(tx)
		}
		t := b.trickster.on(order)
		ended, err = s.end(tx, t, t.payCourse(end, &s), events, now)
		return s, nil, err
	})
	if !isStoreError(err) {
		b.announce(ended)
	}
	return session, err
}

// isResult: it can end a payment that is being processed.
func isResult(outcome mockpay.Outcome) bool {
	return outcome == mockpay.OutcomeSucceeded || outcome == mockpay.OutcomeFailed
}

func (b *bank) checkUndelivered() error {
	if b.courier.undelivered() >= undeliveredMax {
		return refuse(refusedOverload, "Too many webhooks wait for the box office.")
	}
	return nil
}

// announce sends the reports of what is now on disk.
func (b *bank) announce(e *ended) {
	if e == nil {
		return
	}
	for _, p := range e.parcels {
		b.courier.add(p)
	}
	if e.declined {
		b.courier.meter.declines.Inc()
	}
	b.trickster.played(e.played...)
}

// expire forbids any payment from now on, unless one was captured. It also forbids a
// session that nobody has opened yet.
func (b *bank) expire(order domain.OrderID) (mockpay.Expiry, error) {
	events, err := newEventIDs()
	if err != nil {
		return mockpay.Expiry{}, err
	}
	admitted := true
	var ended *ended
	session, err := b.decide(func(tx *bbolt.Tx) (sessionRecord, *refusal, error) {
		s, ok, err := loadSession(tx, order)
		t, now := b.trickster.on(order), b.now().UTC()
		switch {
		case err != nil:
			return s, nil, err
		case !ok: // nobody said how much, so no trick could capture it
			s = sessionRecord{Session: mockpay.SessionID(order), Order: order, Status: mockpay.SessionExpired, EndedAt: now}
			return s, nil, s.save(tx)
		case s.Status != mockpay.SessionOpen:
			return s, nil, nil
		}
		var c course
		c, admitted = t.expireCourse()
		ended, err = s.end(tx, t, c, events, now)
		return s, nil, err
	})
	if err != nil {
		return mockpay.Expiry{}, err
	}
	b.announce(ended)
	if session.Status == mockpay.SessionCaptured && admitted {
		return mockpay.Expiry{Status: mockpay.SessionCaptured, Capture: session.Capture}, nil
	}
	if session.Status == mockpay.SessionAuthorized && admitted {
		return mockpay.Expiry{Status: mockpay.SessionAuthorized, Capture: session.Authorized}, nil
	}
	if session.Status == mockpay.SessionProcessing {
		return mockpay.Expiry{Status: mockpay.SessionProcessing}, nil
	}
	// Failed and canceled sessions take no money either.
	return mockpay.Expiry{Status: mockpay.SessionExpired}, nil
}

// captureAuthorized takes what is authorised in a session, and releaseAuthorized gives it
// up. Either forbids any payment in a session in which nothing is authorised.
func (b *bank) captureAuthorized(order domain.OrderID) (mockpay.Expiry, error) {
	return b.decideAuthorized(order, func(tx *bbolt.Tx, s *sessionRecord, now time.Time) error {
		if t := b.trickster.on(order); t.play(TrickRefuseCapture) {
			b.trickster.played(TrickRefuseCapture)
			return s.release(tx, now)
		}
		money := *s.Authorized
		money.Authorized = false
		_, err := s.take(tx, money, course{}, eventIDs{}, now)
		return err
	})
}

func (b *bank) releaseAuthorized(order domain.OrderID) (mockpay.Expiry, error) {
	return b.decideAuthorized(order, func(tx *bbolt.Tx, s *sessionRecord, now time.Time) error { return s.release(tx, now) })
}

// decideAuthorized decides once. A second payment may have captured before: then that is the answer, and what the first had
// authorised is given up, or nothing could ever end it.
func (b *bank) decideAuthorized(order domain.OrderID, how func(*bbolt.Tx, *sessionRecord, time.Time) error) (mockpay.Expiry, error) {
	session, err := b.decide(func(tx *bbolt.Tx) (sessionRecord, *refusal, error) {
		s, ok, err := loadSession(tx, order)
		now := b.now().UTC()
		switch {
		case err != nil:
			return s, nil, err
		case !ok:
			s = sessionRecord{Session: mockpay.SessionID(order), Order: order, Status: mockpay.SessionExpired, EndedAt: now}
			return s, nil, s.save(tx)
		case s.Status == mockpay.SessionOpen:
			s.Status, s.EndedAt = mockpay.SessionExpired, now
			return s, nil, s.save(tx)
		case s.Status == mockpay.SessionAuthorized:
			err = how(tx, &s, now)
		case s.Status == mockpay.SessionCaptured && s.Authorized != nil:
			err = dropIndexed(tx, authorizedBucket, authorizationsBucket, s.Authorized.Payment)
		}
		return s, nil, err
	})
	switch {
	case err != nil:
		return mockpay.Expiry{}, err
	case session.Status == mockpay.SessionCaptured:
		return mockpay.Expiry{Status: mockpay.SessionCaptured, Capture: session.Capture}, nil
	case session.Status == mockpay.SessionProcessing:
		return mockpay.Expiry{Status: mockpay.SessionProcessing}, nil
	default:
		return mockpay.Expiry{Status: mockpay.SessionExpired}, nil
	}
}

// capture takes money whatever state the session is in: mischief by hand. The same
// capture again gets the same answer as the first time.
func (b *bank) capture(order domain.OrderID, request CaptureRequest) (domain.Capture, error) {
	if refused := request.validate(); refused != nil {
		return domain.Capture{}, refused
	}
	if err := b.checkUndelivered(); err != nil {
		return domain.Capture{}, err
	}
	events, err := newEventIDs()
	if err != nil {
		return domain.Capture{}, err
	}
	var done *ended
	var refused *refusal
	err = b.store.update(func(tx *bbolt.Tx) (err error) {
		done, refused, err = b.captureIn(tx, order, request, events)
		return err
	})
	if err != nil {
		return domain.Capture{}, err
	}
	if refused != nil {
		return domain.Capture{}, refused
	}
	b.announce(done)
	return done.capture, nil
}

func (b *bank) captureIn(tx *bbolt.Tx, order domain.OrderID, request CaptureRequest, events eventIDs) (*ended, *refusal, error) {
	s, ok, err := loadSession(tx, order)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		s = sessionRecord{Session: mockpay.SessionID(order), Order: order}
	}
	payment := request.payment(s.Session)
	earlier, ok, err := indexed[domain.Capture](tx, capturedBucket, capturesBucket, payment)
	switch {
	case err != nil:
		return nil, nil, err
	case ok && !request.agrees(&earlier):
		return nil, refuse(refusedCapture, "Payment %s was captured before, with %d %s.", payment, earlier.AmountMinor, earlier.Currency), nil
	case ok:
		return &ended{capture: earlier}, nil, nil
	}
	if refused := request.settleTerms(&s); refused != nil {
		return nil, refused, nil
	}
	course := b.trickster.on(order).captureCourse(s.Status == mockpay.SessionOpen)
	done, err := s.take(tx, request.of(&s), course, events, b.now().UTC())
	return done, nil, err
}

// lookup reads a session.
func (b *bank) lookup(order domain.OrderID) (mockpay.Session, error) {
	s, err := b.session(order)
	return b.asOfNow(s), err
}

// refund gives back a capture, or part of it, once for each key.
func (b *bank) refund(request mockpay.RefundRequest) (mockpay.Refund, error) {
	var done mockpay.Refund
	var refused *refusal
	err := b.store.update(func(tx *bbolt.Tx) (err error) {
		done, refused, err = refundIn(tx, request, b.now().UTC())
		return err
	})
	if err != nil {
		return mockpay.Refund{}, err
	}
	if refused != nil {
		return mockpay.Refund{}, refused
	}
	return done, nil
}

func refundIn(tx *bbolt.Tx, request mockpay.RefundRequest, now time.Time) (mockpay.Refund, *refusal, error) {
	if request.Key != "" && !domain.ValidPaymentID(request.Key) {
		return mockpay.Refund{}, refuse(refusedInvalid, "The key must have 1–%d letters, digits or any of ._:-.", domain.PaymentIDMaxLen), nil
	}
	return refundAs(tx, request, false, now)
}

// refundAs gives back a part, or, without a key, what is left of the payment.
func refundAs(tx *bbolt.Tx, request mockpay.RefundRequest, elsewhere bool, now time.Time) (mockpay.Refund, *refusal, error) {
	capture, ok, err := indexed[domain.Capture](tx, capturedBucket, capturesBucket, request.Payment)
	if err != nil || !ok {
		return mockpay.Refund{}, refuse(refusedNotFound, "There is no payment %q.", request.Payment), err
	}
	refund := mockpay.Refund{RefundRequest: request, Session: capture.Session, Order: capture.Order, RefundedAt: now, Elsewhere: elsewhere}
	key := refundKey(request)
	earlier, isRepeated, err := indexed[mockpay.Refund](tx, refundedBucket, refundsBucket, key)
	if err != nil {
		return mockpay.Refund{}, nil, err
	}
	returned, taken, err := goneSum(tx, request.Payment)
	switch isWhole := request.Key == ""; {
	case err != nil:
		return mockpay.Refund{}, nil, err
	case isRepeated && (request.Currency != earlier.Currency ||
		request.AmountMinor != earlier.AmountMinor && (!isWhole || request.AmountMinor != capture.AmountMinor)):
		return mockpay.Refund{}, refuse(refusedRefund, "Payment %s was refunded before, with %d %s.", request.Payment, earlier.AmountMinor, earlier.Currency), nil
	case isRepeated && (!isWhole || returned+taken >= capture.AmountMinor):
		return earlier, nil, nil
	case isWhole && request.Currency == capture.Currency && request.AmountMinor <= capture.AmountMinor:
		refund.AmountMinor -= returned + taken
	}
	switch {
	case refund.AmountMinor < 1 && request.AmountMinor > 0 && returned+taken > 0:
		refund.AmountMinor = 0 // nothing is left to give back, and nothing is given
		return refund, nil, nil
	case request.Currency != capture.Currency || refund.AmountMinor > capture.AmountMinor-returned:
		return mockpay.Refund{}, refuse(
			refusedRefund,
			"Payment %s captured %d %s and gave back %d, a refund cannot exceed the rest.",
			request.Payment,
			capture.AmountMinor,
			capture.Currency,
			returned,
		), nil
	case refund.AmountMinor < min(1, capture.AmountMinor): // 0 only for a payment of 0
		return mockpay.Refund{}, refuse(refusedInvalid, "The amount must be 1–%d minor units.", capture.AmountMinor), nil
	}
	if isRepeated { // the rest of a refund that left something to a dispute, which was won
		key += fmt.Sprintf("\n %d", returned) // a key of nobody else: it begins with a space
	}
	refund.ID = refundID(key)
	return refund, nil, addIndexed(tx, refundedBucket, refundsBucket, key, refund)
}

// refundKey names a refund in its index: no payment id has a line break.
func refundKey(request mockpay.RefundRequest) string {
	if request.Key == "" {
		return request.Payment
	}
	return request.Payment + "\n" + request.Key
}

// refundID is a refund's own id.
func refundID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "re_" + hex.EncodeToString(sum[:16])
}

// refundedSum is how much of a payment was given back.
func refundedSum(tx *bbolt.Tx, payment string) (sum int64, err error) {
	keys := []string{payment}
	cursor, prefix := tx.Bucket(refundedBucket).Cursor(), []byte(payment+"\n")
	for key, _ := cursor.Seek(prefix); bytes.HasPrefix(key, prefix); key, _ = cursor.Next() {
		keys = append(keys, string(key))
	}
	for _, key := range keys {
		refund, _, err := indexed[mockpay.Refund](tx, refundedBucket, refundsBucket, key)
		if err != nil {
			return 0, err
		}
		sum += refund.AmountMinor // 0 where there is none
	}
	return sum, nil
}

// list reads a page of one of the lists.
func list[T any](b *bank, bucket []byte, after uint64, limit int) (values []T, next uint64, err error) {
	err = b.store.view(func(tx *bbolt.Tx) error {
		values, next, err = page[T](tx.Bucket(bucket), after, limit)
		return err
	})
	return values, next, err
}

// decide runs a decision in a transaction. A refusal is committed as well, because what
// it changed (an expiry that it noticed) holds.
func (b *bank) decide(decision func(*bbolt.Tx) (sessionRecord, *refusal, error)) (mockpay.Session, error) {
	var s sessionRecord
	var refused *refusal
	err := b.store.update(func(tx *bbolt.Tx) (err error) {
		s, refused, err = decision(tx)
		return err
	})
	if err != nil {
		return mockpay.Session{}, err
	}
	if refused != nil {
		return mockpay.Session(s), refused
	}
	return b.asOfNow(s), nil
}

func (b *bank) session(order domain.OrderID) (s sessionRecord, err error) {
	var ok bool
	err = b.store.view(func(tx *bbolt.Tx) error {
		s, ok, err = loadSession(tx, order)
		return err
	})
	if err == nil && !ok {
		err = refuse(refusedNotFound, "There is no session %s.", mockpay.SessionID(order))
	}
	return s, err
}

// asOfNow shows an open session whose time is over as expired, as any payment would find
// it.
func (b *bank) asOfNow(s sessionRecord) mockpay.Session {
	if s.Status == mockpay.SessionOpen && !b.now().Before(s.ExpiresAt) {
		s.Status = mockpay.SessionExpired
	}
	return mockpay.Session(s)
}

func isStoreError(err error) bool {
	var r *refusal
	return err != nil && !errors.As(err, &r)
}

// sessionRecord is a session as it is stored.
type sessionRecord mockpay.Session

func loadSession(tx *bbolt.Tx, order domain.OrderID) (sessionRecord, bool, error) {
	s, ok, err := get[mockpay.Session](tx.Bucket(sessionsBucket), order[:])
	return sessionRecord(s), ok, err
}

// openSession finds a session or, given its link, opens it.
func openSession(tx *bbolt.Tx, order domain.OrderID, link *mockpay.PayLink) (sessionRecord, *refusal, error) {
	s, ok, err := loadSession(tx, order)
	switch {
	case err != nil:
		return s, nil, err
	case ok && !s.agrees(link):
		return s, refuse(refusedLink, "Session %s was opened for another amount.", s.Session), nil
	case ok:
		return s, nil, nil
	case link == nil:
		return s, refuse(refusedNotFound, "There is no session %s yet: visit its pay link first, or send it as \"link\".", mockpay.SessionID(order)), nil
	}
	s = sessionRecord{
		Session: link.Session(), Order: link.Order, Status: mockpay.SessionOpen,
		AmountMinor: link.AmountMinor, Currency: link.Currency, ExpiresAt: link.ExpiresAt, Authorize: link.Authorize,
		Delayed: link.Delayed,
	}
	return s, nil, s.save(tx)
}

// agrees reports whether the session has the link's terms, or none at all.
func (s sessionRecord) agrees(link *mockpay.PayLink) bool {
	return link == nil || s.Currency == "" || s.AmountMinor == link.AmountMinor && s.Currency == link.Currency &&
		s.Authorize == link.Authorize && s.Delayed == link.Delayed
}

func (s sessionRecord) save(tx *bbolt.Tx) error {
	return put(tx.Bucket(sessionsBucket), s.Order[:], mockpay.Session(s))
}

// ending is what an outcome does to a session, and what is reported about it.
type ending struct {
	status mockpay.SessionStatus
	event  domain.PaymentEventType
}

var endings = map[mockpay.Outcome]ending{
	mockpay.OutcomeSucceeded:  {mockpay.SessionCaptured, domain.PaymentSucceeded},
	mockpay.OutcomeFailed:     {mockpay.SessionFailed, domain.PaymentFailed},
	mockpay.OutcomeCanceled:   {mockpay.SessionCanceled, domain.PaymentCanceled},
	mockpay.OutcomeDeclined:   {mockpay.SessionOpen, domain.PaymentDeclined},
	mockpay.OutcomeProcessing: {mockpay.SessionProcessing, ""}, // no event: nothing is decided
}

// ended is what is left to do after a session's end, or an attempt's, once it is on disk.
type ended struct {
	capture  domain.Capture // when captured
	declined bool           // an attempt
	parcels  []parcel
	played   []Trick
}

// end decides an open session, or declines an attempt in it: its state, its capture and the
// webhooks that report them are one transaction.
func (s *sessionRecord) end(tx *bbolt.Tx, t *tricks, c course, events eventIDs, now time.Time) (*ended, error) {
	due := s.due()
	if c.status == mockpay.SessionCaptured {
		c.played = append(c.played, t.alter(&due)...)
		if s.Authorize {
			return s.authorize(tx, due, c.authorized(), events, now)
		}
		return s.take(tx, due, c, events, now)
	}
	if c.declined {
		s.Declines++
	}
	switch c.status {
	case mockpay.SessionOpen:
	case mockpay.SessionProcessing:
		s.Status = c.status
	default:
		s.Status, s.EndedAt = c.status, now
	}
	parcels, err := c.report(tx, due, events, now)
	if err != nil {
		return nil, err
	}
	return &ended{declined: c.declined, parcels: parcels, played: c.played}, s.save(tx)
}

// due is what a payment of the session should capture.
func (s *sessionRecord) due() domain.Capture {
	return domain.Capture{Payment: s.Session, Session: s.Session, Order: s.Order, AmountMinor: s.AmountMinor, Currency: s.Currency}
}

// authorize is what a payment does in a session that is captured later.
func (s *sessionRecord) authorize(tx *bbolt.Tx, money domain.Capture, c course, events eventIDs, now time.Time) (*ended, error) {
	money.CapturedAt, money.Authorized = now, true
	s.Status, s.EndedAt, s.Authorized = mockpay.SessionAuthorized, now, &money
	if err := addIndexed(tx, authorizedBucket, authorizationsBucket, money.Payment, money); err != nil {
		return nil, err
	}
	parcels, err := c.report(tx, money, events, now)
	if err != nil {
		return nil, err
	}
	return &ended{capture: money, parcels: parcels, played: c.played}, s.save(tx)
}

// release gives an authorisation up.
func (s *sessionRecord) release(tx *bbolt.Tx, now time.Time) error {
	s.Status, s.EndedAt = mockpay.SessionFailed, now
	if err := dropIndexed(tx, authorizedBucket, authorizationsBucket, s.Authorized.Payment); err != nil {
		return err
	}
	return s.save(tx)
}

// take captures. The session keeps its first capture.
func (s *sessionRecord) take(tx *bbolt.Tx, capture domain.Capture, c course, events eventIDs, now time.Time) (*ended, error) {
	capture.CapturedAt = now
	if s.Capture == nil {
		s.Status, s.EndedAt, s.Capture = mockpay.SessionCaptured, now, &capture
	}
	if err := dropIndexed(tx, authorizedBucket, authorizationsBucket, capture.Payment); err != nil {
		return nil, err
	}
	if err := addIndexed(tx, capturedBucket, capturesBucket, capture.Payment, capture); err != nil {
		return nil, err
	}
	parcels, err := c.report(tx, capture, events, now)
	if err != nil {
		return nil, err
	}
	return &ended{capture: capture, parcels: parcels, played: c.played}, s.save(tx)
}

// report puts a course's webhooks on the list of those to send, or of lost ones if nobody
// will send them.
func (c *course) report(tx *bbolt.Tx, about domain.Capture, events eventIDs, now time.Time) ([]parcel, error) {
	var parcels []parcel
	for i, r := range c.reports {
		delivery := mockpay.Delivery{OccurredAt: now, State: mockpay.DeliveryPending, Event: domain.PaymentEvent{
			ID: events[i], Type: r.event, Session: about.Session, Order: about.Order,
			Payment: about.Payment, AmountMinor: about.AmountMinor, Currency: about.Currency,
		}}
		if c.lost {
			delivery.State, delivery.EndedAt = DeliveryLost, now
			if _, err := add(tx.Bucket(lostBucket), delivery); err != nil {
				return nil, err
			}
			continue
		}
		key, err := add(tx.Bucket(pendingBucket), delivery)
		if err != nil {
			return nil, err
		}
		parcels = append(parcels, parcel{key: binary.BigEndian.Uint64(key), due: now.Add(r.after)})
	}
	return parcels, nil
}

// indexed finds the entry of a list that belongs to a payment.
func indexed[T any](tx *bbolt.Tx, index, list []byte, payment string) (value T, ok bool, err error) {
	key := tx.Bucket(index).Get([]byte(payment))
	if key == nil {
		return value, false, nil
	}
	return get[T](tx.Bucket(list), key)
}

// addIndexed appends an entry to a list and records where it is.
func addIndexed(tx *bbolt.Tx, index, list []byte, payment string, value any) error {
	key, err := add(tx.Bucket(list), value)
	if err != nil {
		return err
	}
	return tx.Bucket(index).Put([]byte(payment), key)
}

// dropIndexed removes the entry of a list that belongs to a payment, if there is one.
func dropIndexed(tx *bbolt.Tx, index, list []byte, payment string) error {
	key := bytes.Clone(tx.Bucket(index).Get([]byte(payment)))
	if key == nil {
		return nil
	}
	return errors.Join(tx.Bucket(list).Delete(key), tx.Bucket(index).Delete([]byte(payment)))
}

// eventIDs are webhook-ids for all that one ending may report.
type eventIDs [2]string

// newEventIDs makes webhook-ids that sort by time and cannot be guessed.
func newEventIDs() (events eventIDs, err error) {
	for i := range events {
		id, err := uuid.NewV7()
		if err != nil {
			return events, err
		}
		events[i] = "evt_" + id.String()
	}
	return events, nil
}
