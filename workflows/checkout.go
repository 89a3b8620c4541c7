package workflows

import (
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
)

// Checkout sells one order, or ends without a sale. It holds the seats, waits for the
// payment or the deadline, then posts or voids, and records what was sold. Its result is
// its last state. It fails only if the request could never have succeeded (a bug of
// ours); then nothing is held and nothing was sold.
func Checkout(ctx workflow.Context, order domain.Order) (domain.CheckoutState, error) {
	c := newCheckout(order)
	request := ctx
	ctx, _ = workflow.NewDisconnectedContext(request)
	if err := c.listen(ctx); err != nil {
		return c.state, err
	}
	workflow.GoNamed(ctx, "cancellation", c.obeyCancellation(request))
	if err := c.hold(ctx); err != nil {
		return c.state, c.breakOff(ctx, err)
	}
	if err := c.confirmFree(ctx); err != nil {
		return c.state, c.breakOff(ctx, err)
	}
	if err := c.awaitEnding(ctx); err != nil {
		return c.state, c.breakOff(ctx, err)
	}
	return c.state, c.close(ctx)
}

// checkout is the state of one run. Only the workflow's main function (the body) changes
// it; handlers read it and put messages into the inbox.
type checkout struct {
	order domain.Order
	state domain.CheckoutState
	inbox *inbox
	// handedOver are the payments that were given to Late. Whatever other events say
	// about them, they buy nothing here.
	handedOver map[string]bool
	wish       domain.PayWish // what the page needs to know of the buyer who wants to pay
	// doubted are captures that an event reported but the provider did not show.
	doubted []domain.Capture
	// nextLook is when the provider is asked again about a payment that it is processing.
	nextLook time.Time
}

func newCheckout(order domain.Order) *checkout {
	return &checkout{
		order:      order,
		inbox:      newInbox(),
		handedOver: make(map[string]bool),
		state: domain.CheckoutState{
			Order:       order.ID,
			SaleID:      order.SaleID,
			Status:      domain.OrderPending,
			Lines:       order.Lines,
			AmountMinor: order.AmountMinor,
			Currency:    order.Currency,
			Fingerprint: order.Fingerprint,
			Metadata:    order.Metadata,
			Provider:    order.Provider,
			Session:     order.PaymentSession(),
			Capture:     order.Capture,
		},
	}
}

// hold sets the seats aside. A refusal ends the checkout.
func (c *checkout) hold(ctx workflow.Context) error {
	var hold domain.Hold
	request := activities.HoldRequest{Order: c.order, BegunAt: workflow.GetInfo(ctx).WorkflowStartTime, AskedAt: workflow.Now(ctx)}
	if err := step(ctx, "hold the seats", acts.Hold, request, &hold); err != nil {
		return fmt.Errorf("hold of order %s: %w", c.order.ID, err)
	}
	status, err := hold.Outcome.Status()
	if err != nil {
		leaveToOthers("answer to a hold", hold.Outcome)
	}
	c.state.Hold = hold
	c.enter(ctx, status)
	return nil
}

// awaitEnding handles one message after the other until one of them ends the checkout, or
// its deadline does.
func (c *checkout) awaitEnding(ctx workflow.Context) error {
	for !c.state.Status.Settled() {
		if err := c.awaitMessageOrDeadline(ctx); err != nil {
			return err
		}
		var err error
		if c.inbox.empty() {
			err = c.giveUp(ctx, domain.OrderExpired)
		} else {
			err = c.handle(ctx, c.inbox.take())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// awaitMessageOrDeadline returns with an empty inbox only at the deadline. A payment that
// arrives together with the deadline goes first.
func (c *checkout) awaitMessageOrDeadline(ctx workflow.Context) error {
	left := c.deadline().Sub(workflow.Now(ctx))
	if left <= 0 || !c.inbox.empty() {
		return nil
	}
	_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout:      left,
		TimerOptions: workflow.TimerOptions{Summary: c.awaits()},
	}, func() bool { return !c.inbox.empty() })
	return err
}

// handle handles one message while the order is held.
func (c *checkout) handle(ctx workflow.Context, m message) (err error) {
	defer func() {
		c.inbox.handled[m.id] = true
		if err != nil {
			c.inbox.putBack(m)
		}
	}()
	switch {
	case m.open:
		return c.openSession(ctx)
	case m.cancel:
		return c.giveUp(ctx, domain.OrderCanceled)
	case m.hint:
		return c.follow(ctx, m.event)
	case m.other:
		return c.handOver(ctx, LateInput{Capture: m.event.Capture(), Reason: domain.RefundUnknownOrder})
	case !m.paid() && m.event.Session != c.state.Session:
		return nil // another attempt ended
	}
	switch m.event.Type {
	case domain.PaymentSucceeded, domain.PaymentAuthorized:
		return c.settleReported(ctx, m.event.Capture())
	case domain.PaymentFailed:
		return c.release(ctx, domain.OrderFailed)
	case domain.PaymentCanceled:
		return c.release(ctx, domain.OrderCanceled)
	case domain.PaymentDeclined:
		return c.countDecline(ctx)
	default:
		leaveToOthers("payment event", m.event.Type)
		return nil
	}
}

// countDecline is for an attempt to pay that came to nothing. The seats stay held: the
// buyer may try again until the deadline, but not more than domain.DeclinesMax times.
// Only the provider knows whether another attempt has come through meanwhile.
func (c *checkout) countDecline(ctx workflow.Context) error {
	c.state.Declines++
	if c.state.Declines >= domain.DeclinesMax {
		return c.giveUp(ctx, domain.OrderFailed)
	}
	workflow.SetCurrentDetails(ctx, c.details())
	return nil
}

// giveUp ends a checkout that was not paid, at its deadline or because the buyer cancels.
// The provider decides: after its answer, either nothing can be paid any more, or it was
// already paid and the webhook is late or lost. If no session was opened, there is
// nothing to decide; while a payment is being processed, the order stays held.
func (c *checkout) giveUp(ctx workflow.Context, ending domain.OrderStatus) error {
	if c.state.Session == "" {
		return c.release(ctx, ending)
	}
	var expire any = acts.ExpireSession
	if c.state.Hold.ProcessingExtension > 0 {
		expire = acts.ExpireUnlessProcessing
	}
	var outcome domain.ExpireOutcome
	decided, err := c.askProvider(ctx, "no more payments for this order", expire, activities.Session(c.state.Session), &outcome, always)
	switch {
	case decided:
		return err
	case err != nil:
		return fmt.Errorf("expire the payment session of order %s: %w", c.order.ID, err)
	}
	switch {
	case outcome.Processing:
		return c.waitForProcessing(ctx)
	case outcome.Paid():
		return c.settleAtEnd(ctx, outcome.Capture, ending)
	default:
		return c.release(ctx, ending)
	}
}

// askProvider waits for the provider's answer, with more frequent tries while the ledger
// still has the hold. The provider may be down while its webhooks still get through: with
// paymentsFirst, a payment that comes meanwhile goes first. It returns decided if that
// payment ended the checkout.
func (c *checkout) askProvider(
	ctx workflow.Context,
	summary string,
	activity, argument, result any,
	paymentsFirst func(workflow.Context) bool,
) (decided bool, err error) {
	callCtx, stopCall := workflow.WithCancel(ctx)
	answer, inTime := callProviderInTime(callCtx, summary, c.holdLeft(ctx), activity, argument)
	for {
		if answer.IsReady() {
			err := answer.Get(ctx, result)
			if !inTime || !isOutOfTime(err) {
				return false, err
			}
			answer, inTime = callProvider(callCtx, summary, activity, argument), false
		}
		if err := workflow.Await(ctx, func() bool { return answer.IsReady() || c.inbox.hasPayment() }); err != nil {
			return false, err
		}
		switch {
		case !c.inbox.hasPayment():
			continue
		case !paymentsFirst(ctx):
			_ = answer.Get(ctx, nil) // the error was looked at above
			continue
		}
		if err := c.handle(ctx, c.inbox.takePayment()); err != nil || c.state.Status.Settled() {
			stopCall()
			return true, err
		}
	}
}

func always(workflow.Context) bool { return true }

// paymentsFirstChange marks checkouts that settle a payment while they ask the provider
// about one with a wrong amount.
const paymentsFirstChange = "payments-first"

func paymentsFirst(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, paymentsFirstChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion
}

// holdLeft is how long the ledger will still have the hold.
func (c *checkout) holdLeft(ctx workflow.Context) time.Duration {
	grace := c.state.Hold.Grace
	if grace == 0 {
		grace = holdGraceBefore
	}
	return c.state.Hold.ExpiresAt.Add(grace).Sub(workflow.Now(ctx))
}

// askAboutHint is the summary that marks a hint in the history.
const askAboutHint = "an event that is not sealed is a hint: what did the provider take?"

// follow looks into a hint: what the provider took is what counts. Until the provider
// answers, other reported payments go first.
func (c *checkout) follow(ctx workflow.Context, hint domain.PaymentEvent) error {
	if c.state.Session == "" {
		return nil // nobody can pay yet
	}
	var found activities.FoundCapture
	decided, err := c.askProvider(ctx, askAboutHint, acts.FindCapture, c.state.Session, &found, always)
	switch {
	case decided:
		return err
	case err != nil:
		return fmt.Errorf("ask about an unsealed event of order %s: %w", c.order.ID, err)
	}
	if found.Paid() {
		return c.settle(ctx, found.Capture)
	}
	switch hint.Type {
	case domain.PaymentSucceeded, domain.PaymentAuthorized:
		workflow.GetLogger(ctx).Warn("Ignored a payment's event that is not sealed: the provider took nothing", "Payment", hint.Payment)
		return nil
	case domain.PaymentFailed:
		return c.giveUp(ctx, domain.OrderFailed)
	case domain.PaymentCanceled:
		return c.giveUp(ctx, domain.OrderCanceled)
	case domain.PaymentDeclined:
		return nil // nothing was decided, and hearsay is not counted
	default:
		leaveToOthers("payment event", hint.Type)
		return nil
	}
}

// settleAtEnd settles what the buyer paid before the checkout gave up. A payment of the
// wrong amount pays for nothing: it goes back, and the order ends as it was about to. So
// does one that is only authorised, if the order is canceled: nobody was charged yet.
func (c *checkout) settleAtEnd(ctx workflow.Context, capture domain.Capture, ending domain.OrderStatus) error {
	if capture.Authorized && ending == domain.OrderCanceled {
		err := c.release(ctx, ending)
		if err != nil || c.state.Status != ending {
			return err
		}
		return c.handOver(ctx, LateInput{Capture: capture, Reason: domain.RefundCanceled})
	}
	err := c.settle(ctx, capture)
	if err != nil || c.state.Status.Settled() {
		return err
	}
	return c.release(ctx, ending)
}

// settleReported settles what an event reports. If the event's amount differs from the
// order's price, the provider is asked first: what it says it took is what counts.
func (c *checkout) settleReported(ctx workflow.Context, capture domain.Capture) error {
	if c.handedOver[capture.Payment] {
		return c.handOverAgain(ctx, capture)
	}
	if capture.Pays(&c.order) {
		return c.settle(ctx, capture)
	}
	var found activities.FoundCapture
	decided, err := c.askProvider(ctx, whatWasTaken, acts.FindCapture, capture.Session, &found, paymentsFirst)
	switch {
	case decided && err != nil:
		return err
	case decided:
		return c.handOverLate(ctx, capture)
	case err != nil:
		return fmt.Errorf("find the payment of order %s: %w", c.order.ID, err)
	case found.Paid() && found.Capture.Payment == capture.Payment:
		return c.settle(ctx, found.Capture)
	case capture.Payment == capture.Session:
		// The provider took nothing under the session's own id, and the right payment may
		// still come under that id. So there is nothing to give back.
		workflow.GetLogger(ctx).Warn("An event of a wrong amount about a payment that the provider does not know", "Payment", capture.Payment)
		c.doubted = append(c.doubted, capture)
		return nil
	default:
		return c.settle(ctx, capture)
	}
}

func (c *checkout) findCapture(ctx workflow.Context) (activities.FoundCapture, error) {
	if c.state.Session == "" {
		return activities.FoundCapture{}, nil
	}
	found, err := findCapture(ctx, c.state.Session, c.holdLeft(ctx))
	if err != nil {
		return found, fmt.Errorf("find the payment of order %s: %w", c.order.ID, err)
	}
	return found, nil
}

// settle turns a capture into tickets. If the hold is gone by now, it takes seats again
// if some are left; otherwise the money goes back.
func (c *checkout) settle(ctx workflow.Context, capture domain.Capture) error {
	if c.handedOver[capture.Payment] {
		return nil
	}
	if !capture.Pays(&c.order) {
		// The amount is not this order's price, so it buys no ticket. The hold stays
		// until its deadline: the right payment may still come.
		return c.handOver(ctx, LateInput{Capture: capture, Reason: domain.RefundWrongAmount})
	}
	if capture.Authorized {
		return c.settleAuthorized(ctx, capture)
	}
	settled, err := c.sellHeld(ctx, capture)
	if err != nil {
		return err
	}
	return c.conclude(ctx, capture, settled)
}

// sellHeld sells the seats that are held, or takes others if the hold is gone.
func (c *checkout) sellHeld(ctx workflow.Context, capture domain.Capture) (activities.Settled, error) {
	settled, err := sell(ctx, &c.order, capture, domain.BookedByHold, c.holdLeft(ctx))
	if err == nil && settled.Outcome == activities.SettleNoSeats {
		settled, err = sell(ctx, &c.order, capture, domain.BookedByRebook, 0)
	}
	return settled, err
}

// confirmFree sells an order that costs nothing, at once: there is no payment to wait
// for, and seats that nobody has to pay for must not stay held for others to miss. There
// is no money to give back either, so without seats it has expired like any other.
func (c *checkout) confirmFree(ctx workflow.Context) error {
	if !c.order.IsFree() || c.state.Status != domain.OrderHeld {
		return nil
	}
	settled, err := c.sellHeld(ctx, domain.FreeCapture(&c.order))
	if err != nil {
		return err
	}
	switch settled.Outcome {
	case activities.SettleSold, activities.SettleSoldBefore:
		c.state.Payment, c.state.PerkTaken = settled.Payment, settled.PerkTaken
		c.enter(ctx, domain.OrderPaid)
	case activities.SettleUnrecordable: // flagged; its seats went back
		c.enter(ctx, domain.OrderFailed)
	case activities.SettleNoSeats, activities.SettleRefunding:
		return c.release(ctx, domain.OrderExpired)
	case activities.SettleUnpaid, activities.SettleBooked, activities.SettleUncaptured: // answers to other requests
		leaveToOthers("settlement of a free order", settled.Outcome)
	default:
		leaveToOthers("settlement", settled.Outcome)
	}
	return nil
}

// conclude ends the checkout as the settlement says.
func (c *checkout) conclude(ctx workflow.Context, capture domain.Capture, settled activities.Settled) error {
	status, reason := settlement(settled.Outcome)
	c.state.Payment, c.state.PerkTaken = capture.Payment, settled.PerkTaken
	if settled.Outcome == activities.SettleSoldBefore {
		c.state.Payment = settled.Payment
	}
	c.enter(ctx, status)
	if reason == "" {
		return nil
	}
	return c.handOver(ctx, LateInput{Capture: capture, Reason: reason})
}

// settlement returns the order's status after a settlement, and why the money goes back;
// empty if it stays.
func settlement(outcome activities.SettleOutcome) (domain.OrderStatus, domain.RefundReason) {
	switch outcome {
	case activities.SettleSold:
		return domain.OrderPaid, ""
	case activities.SettleSoldBefore:
		return domain.OrderPaid, domain.RefundSecondCapture
	case activities.SettleUnrecordable:
		return domain.OrderRefunding, domain.RefundUnrecordable
	case activities.SettleNoSeats, activities.SettleRefunding:
		return domain.OrderRefunding, domain.RefundNoneLeft
	case activities.SettleUnpaid, activities.SettleBooked, activities.SettleUncaptured: // answers to other requests
	}
	leaveToOthers("settlement", outcome)
	return "", ""
}

// release gives the seats back and ends the checkout. If the ledger says that they were
// sold to this very order, a crash came between the ledger and this history: the order is
// paid.
func (c *checkout) release(ctx workflow.Context, ending domain.OrderStatus) error {
	var outcome domain.VoidOutcome
	if err := step(ctx, "give the seats back", acts.Release, activities.EndRequest{Order: c.order, Ending: ending}, &outcome); err != nil {
		return fmt.Errorf("release order %s: %w", c.order.ID, err)
	}
	switch outcome {
	case domain.VoidVoided:
		c.enter(ctx, ending)
		return nil
	case domain.VoidPosted:
		return c.settlePosted(ctx, ending)
	default:
		leaveToOthers("answer to a void", outcome)
		return nil
	}
}

// RedeliveryTimeout is how long an order with posted seats waits for its payment's event
// to come again, if the provider knows of no capture. Nobody acknowledged the first
// delivery, so there will be another within this time (MockPay repeats at least every 10
// minutes). It is much longer than it takes to record a sale after its post, so nobody
// can still be writing a record when the seats go back.
const RedeliveryTimeout = 15 * time.Minute

// unpaidPostChange marks checkouts that look for the record of a posted order, and give
// its seats back if there is neither a record nor a payment.
const unpaidPostChange = "unpaid-post"

// settlePosted finds the payment for which the seats were posted: it was recorded, or the
// provider has it, or its event comes again. If there is none, the seats were sold to
// nobody, and the order ends as it was about to.
func (c *checkout) settlePosted(ctx workflow.Context, ending domain.OrderStatus) error {
	version := workflow.GetVersion(ctx, unpaidPostChange, workflow.DefaultVersion, 1)
	if version != workflow.DefaultVersion {
		if recorded, err := c.findSale(ctx); err != nil || recorded {
			return err
		}
	}
	found, err := c.findCapture(ctx)
	if err != nil {
		return err
	}
	if found.Paid() && found.Capture.Pays(&c.order) {
		return c.settle(ctx, found.Capture)
	}
	again, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout:      RedeliveryTimeout,
		TimerOptions: workflow.TimerOptions{Summary: "the payment's event again"},
	}, c.inbox.hasPayment)
	switch {
	case err != nil:
		return err
	case again:
		return c.handle(ctx, c.inbox.takePayment())
	case version == workflow.DefaultVersion:
		return c.settle(ctx, c.assumedCapture())
	default:
		return c.unsell(ctx, ending)
	}
}

// assumedCapture is what checkouts from before unpaidPostChange took for the payment.
// Only their replay needs it. Remove it once none of them can be open.
func (c *checkout) assumedCapture() domain.Capture {
	session := c.state.Session
	return domain.Capture{
		Payment: session, Session: session, Order: c.order.ID,
		AmountMinor: c.order.AmountMinor, Currency: c.order.Currency,
	}
}

// findSale ends a checkout whose order was already recorded.
func (c *checkout) findSale(ctx workflow.Context) (recorded bool, err error) {
	var sale activities.Settled
	if err := step(ctx, "was the order recorded?", acts.FindSale, c.order.ID, &sale); err != nil {
		return false, fmt.Errorf("find the record of order %s: %w", c.order.ID, err)
	}
	return c.concludeSold(ctx, sale), nil
}

// unsell ends a checkout whose seats were sold to nobody.
func (c *checkout) unsell(ctx workflow.Context, ending domain.OrderStatus) error {
	var undone activities.Settled
	if err := step(ctx, "give back seats that nobody paid for", acts.Unsell, activities.EndRequest{Order: c.order, Ending: ending}, &undone); err != nil {
		return fmt.Errorf("unsell order %s: %w", c.order.ID, err)
	}
	if !c.concludeSold(ctx, undone) {
		c.enter(ctx, ending)
	}
	return nil
}

func (c *checkout) concludeSold(ctx workflow.Context, sale activities.Settled) bool {
	switch sale.Outcome {
	case activities.SettleSoldBefore:
		c.state.Payment, c.state.PerkTaken = sale.Payment, sale.PerkTaken
		c.enter(ctx, domain.OrderPaid)
		return true
	case activities.SettleUnpaid:
		return false
	case activities.SettleSold, activities.SettleNoSeats, activities.SettleRefunding, activities.SettleUnrecordable: // answers to Settle
	case activities.SettleBooked, activities.SettleUncaptured: // answers to BookSeats and ReturnUncaptured
	}
	leaveToOthers("record of an order", sale.Outcome)
	return false
}

// close handles what arrived after the ending, and returns when nothing is left to
// answer.
func (c *checkout) close(ctx workflow.Context) error {
	if err := c.tellEnding(ctx); err != nil {
		return err
	}
	if err := c.handOverDoubted(ctx); err != nil {
		return err
	}
	for {
		c.drainSignals(ctx)
		for !c.inbox.empty() {
			m := c.inbox.take()
			if err := c.handleAfterEnd(ctx, m); err != nil {
				return err
			}
			c.inbox.handled[m.id] = true
		}
		if err := workflow.Await(ctx, func() bool { return !c.inbox.empty() || workflow.AllHandlersFinished(ctx) }); err != nil {
			return err
		}
		c.drainSignals(ctx)
		if !c.inbox.empty() {
			continue
		}
		if more, err := c.lastCall(ctx); err != nil || !more {
			return err
		}
	}
}

// doubtedChange marks checkouts that give to Late what an event reported and the provider
// did not show. It is asked for only if there is such a payment.
const doubtedChange = "doubted-capture"

// handOverDoubted gives doubted payments to Late, which asks again: the event may have
// been ahead of the provider's answers, and nothing was sold for its payment.
func (c *checkout) handOverDoubted(ctx workflow.Context) error {
	for _, capture := range c.doubted {
		input, late, err := LateTerms(&c.state, capture)
		if err != nil {
			return err
		}
		if !late || workflow.GetVersion(ctx, doubtedChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			continue
		}
		if err := c.handOver(ctx, input); err != nil {
			return err
		}
	}
	return nil
}

// lastCallChange marks checkouts that, before they close, run every goroutine that the
// workflow task woke. It is asked for only if one of them has money to report.
const lastCallChange = "last-call"

// lastCall reports whether money has arrived that the body does not know about yet. If a
// signal comes in the workflow task in which the body ends, the goroutine that receives
// signals runs after the body. So the body waits for it.
func (c *checkout) lastCall(ctx workflow.Context) (more bool, err error) {
	called := false
	workflow.GoNamed(ctx, "last call", func(workflow.Context) { called = true }) // a new goroutine runs after all others
	if err := workflow.Await(ctx, func() bool { return called }); err != nil {
		return false, err
	}
	return c.inbox.saysPaid() && workflow.GetVersion(ctx, lastCallChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion, nil
}

// breakOff gives to Late the money that was reported to a checkout which cannot go on,
// because we acknowledged it.
func (c *checkout) breakOff(ctx workflow.Context, why error) error {
	if more, err := c.lastCall(ctx); err != nil || !more {
		return why
	}
	held := c.state.Hold.Outcome == domain.HoldHeld
	for c.inbox.hasPayment() {
		m := c.inbox.takePayment()
		input := LateInput{Capture: m.event.Capture(), Rebook: held && !m.other, HoldMayStand: held, Reason: domain.RefundNoneLeft}
		if err := c.handOver(ctx, input); err != nil {
			return errors.Join(why, err)
		}
	}
	return why
}

// handleAfterEnd handles a message after the end: only money still matters.
func (c *checkout) handleAfterEnd(ctx workflow.Context, m message) error {
	capture := m.event.Capture()
	switch {
	case m.hint && c.state.Session == "":
		return nil // nobody can pay any more
	case m.hint && m.event.Type.Paid():
		var found activities.FoundCapture
		answer := callProvider(ctx, askAboutHint, acts.FindCapture, c.state.Session)
		if err := answer.Get(ctx, &found); err != nil || !found.Paid() {
			return err
		}
		capture = found.Capture
	case m.other:
		return c.handOver(ctx, LateInput{Capture: capture, Reason: domain.RefundUnknownOrder})
	case !m.paid():
		return nil
	}
	return c.handOverLate(ctx, capture)
}

// handOverLate gives to Late a payment that the ended checkout did not settle with.
func (c *checkout) handOverLate(ctx workflow.Context, capture domain.Capture) error {
	if c.handedOver[capture.Payment] {
		return c.handOverAgain(ctx, capture)
	}
	input, late, err := LateTerms(&c.state, capture)
	if err != nil || !late {
		return err
	}
	return c.handOver(ctx, input)
}

// handOver gives a payment to Late, once, and does not wait for it.
func (c *checkout) handOver(ctx workflow.Context, input LateInput) error {
	if c.handedOver[input.Capture.Payment] {
		return nil
	}
	c.handedOver[input.Capture.Payment] = true
	return c.startLate(ctx, input, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY)
}

// lateAgainChange marks checkouts that hand a payment over again if another event about
// it comes. It is asked for only then.
const lateAgainChange = "late-again"

// handOverAgain is for another event about a payment that Late has, or had. The provider
// may not have known it the first time. Late's steps may be repeated.
func (c *checkout) handOverAgain(ctx workflow.Context, capture domain.Capture) error {
	if workflow.GetVersion(ctx, lateAgainChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return nil
	}
	input := LateInput{Capture: capture, Reason: domain.RefundNoneLeft}
	if !capture.Pays(&c.order) {
		input.Reason = domain.RefundWrongAmount
	}
	return c.startLate(ctx, input, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE)
}

func (c *checkout) startLate(ctx workflow.Context, input LateInput, again enumspb.WorkflowIdReusePolicy) error {
	input.Order, input.SaleID = &c.order, c.order.SaleID
	child := workflow.ExecuteChildWorkflow(c.lateOptions(ctx, input.Capture, again), Late, input)
	err := child.GetChildWorkflowExecution().Get(ctx, nil)
	if temporal.IsWorkflowExecutionAlreadyStartedError(err) {
		return nil // Late is already dealing with that payment
	}
	if err != nil {
		return fmt.Errorf("start the late payment %s of order %s: %w", input.Capture.Payment, c.order.ID, err)
	}
	return nil
}
