package workflows

import (
	"errors"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"boxoffice/domain"
)

// eventsMax limits how many different events one checkout takes. A session has a handful;
// more means a broken provider. Further events that report no money are ignored. Those
// that report money are refused as updates, so that the provider sends them again, and
// still taken as signals, because signals were acknowledged.
const eventsMax = 64

// cancelMessage is the id of the buyer's cancel in the inbox. Event ids of a provider are
// prefixed, so they cannot collide with it.
const cancelMessage = "cancel"

// A message is something that somebody wants from the checkout.
type message struct {
	id     string
	cancel bool
	open   bool                // the buyer wants to pay
	hint   bool                // sent by somebody without the payload key: ask the provider about it
	other  bool                // money in a session that is not the order's: it buys nothing
	event  domain.PaymentEvent // unless cancel or open
}

// paid reports whether the message says that the buyer has paid, and can be believed.
func (m message) paid() bool {
	return !m.cancel && !m.open && !m.hint && m.event.Type.Paid()
}

// declined reports whether the message says that an attempt to pay was declined.
func (m message) declined() bool {
	return !m.cancel && !m.open && !m.hint && m.event.Type == domain.PaymentDeclined
}

// hintsMax limits how many hints one checkout follows: each asks the provider.
const hintsMax = 8

// reported is a payment's event as it came into the workflow.
type reported struct {
	domain.PaymentEvent
	unsealed bool
}

// MarkUnsealed implements codec.Unsealed.
func (r *reported) MarkUnsealed() { r.unsealed = true }

// hintChange marks checkouts that ask the provider about an event that was not sealed. It
// is asked for only if one came.
const hintChange = "unsealed-is-a-hint"

// message turns a report into a message. A hint gets an id of its own, because the event
// that it names may still come.
func (c *checkout) messageOf(ctx workflow.Context, r reported) message {
	m := c.eventMessage(r.PaymentEvent)
	if r.unsealed && workflow.GetVersion(ctx, hintChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		m.id, m.hint = "hint/"+r.ID, true
	}
	return m
}

// inbox collects messages in the order of their arrival, each once. Handlers only put
// messages in; the checkout's body takes them out. So one message at a time decides.
type inbox struct {
	seen     map[string]bool // every id that ever came in
	hints    int
	opens    int // limited where they come in
	declines int
	waiting  []message
	handled  map[string]bool
}

func newInbox() *inbox {
	return &inbox{seen: make(map[string]bool), handled: make(map[string]bool)}
}

func (c *checkout) eventMessage(event domain.PaymentEvent) message {
	return message{id: "event/" + event.ID, event: event.Normalized(c.state.Session)}
}

func (b *inbox) full() bool  { return len(b.seen)-b.hints-b.opens >= eventsMax }
func (b *inbox) empty() bool { return len(b.waiting) == 0 }

// put takes a message in, once. It reports whether the message will be dealt with, or
// already was.
func (b *inbox) put(m message) bool {
	if b.seen[m.id] {
		return true
	}
	switch {
	case m.hint && b.hints >= hintsMax, m.declined() && b.declines >= domain.DeclinesMax, !m.hint && b.full() && !m.cancel && !m.open && !m.paid():
		return false
	case m.hint:
		b.hints++
	case m.declined():
		b.declines++
	case m.open:
		b.opens++
	}
	b.seen[m.id] = true
	b.waiting = append(b.waiting, m)
	return true
}

// take removes the first message. Hints come last: facts go first.
func (b *inbox) take() message {
	first := max(0, slices.IndexFunc(b.waiting, func(m message) bool { return !m.hint }))
	return b.takeAt(first)
}

func (b *inbox) takeAt(i int) message {
	m := b.waiting[i]
	b.waiting = append(b.waiting[:i:i], b.waiting[i+1:]...)
	return m
}

// putBack returns a message that could not be handled.
func (b *inbox) putBack(m message) { b.waiting = append([]message{m}, b.waiting...) }

// hasPayment reports whether a waiting message reports money.
func (b *inbox) hasPayment() bool { return slices.ContainsFunc(b.waiting, message.paid) }

// saysPaid is hasPayment, hints included.
func (b *inbox) saysPaid() bool {
	return slices.ContainsFunc(b.waiting, func(m message) bool { return m.paid() || m.hint && m.event.Type.Paid() })
}

// takePayment removes the first waiting message that reports money. Call it only after
// hasPayment.
func (b *inbox) takePayment() message { return b.takeAt(slices.IndexFunc(b.waiting, message.paid)) }

// listen registers all signals, updates and queries of a checkout.
func (c *checkout) listen(ctx workflow.Context) error {
	queries := workflow.SetQueryHandlerWithOptions(ctx, StateQuery,
		func() (domain.CheckoutState, error) { return c.state, nil },
		workflow.QueryHandlerOptions{Description: "What the checkout knows of itself."})
	updates := errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, AwaitHoldUpdate, c.answerHold, workflow.UpdateHandlerOptions{
			Validator:   c.validateFingerprint,
			Description: "Waits for the ledger's answer to the hold.",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, PaymentUpdate, c.answerPayment, workflow.UpdateHandlerOptions{
			Validator:   c.validateEvent,
			Description: "A verified event of the payment provider; waits until it has been dealt with.",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, CancelUpdate, c.answerCancel, workflow.UpdateHandlerOptions{
			Description: "The buyer gives the order up; waits until that is decided.",
		}),
		workflow.SetUpdateHandlerWithOptions(ctx, OpenSessionUpdate, c.answerOpen, workflow.UpdateHandlerOptions{
			Validator:   c.validateOpening,
			Description: "The buyer wants to pay; waits until the provider has a page for that.",
		}),
	)
	workflow.GoNamed(ctx, "payment signals", c.receiveSignals)
	return errors.Join(queries, updates)
}

func (c *checkout) validateFingerprint(fingerprint string) error {
	if fingerprint != c.order.Fingerprint {
		return reject(domain.CodeKeyReused, "this order was placed with another body")
	}
	return nil
}

func (c *checkout) answerHold(ctx workflow.Context, _ string) (domain.Hold, error) {
	err := awaitAnswer(ctx, func() bool { return c.state.Hold.Outcome != "" })
	return c.state.Hold, err
}

func (c *checkout) validateEvent(report reported) error {
	event := report.PaymentEvent
	if !c.concerns(event) {
		return reject(domain.CodeInvalid, "the event is not about this order")
	}
	if m := c.eventMessage(event); m.paid() && !c.inbox.seen[m.id] && c.inbox.full() {
		return reject(domain.CodeOverloaded, "too many events for one order")
	}
	return nil
}

// concerns reports whether an event can be about this order.
func (c *checkout) concerns(event domain.PaymentEvent) bool {
	event = event.Normalized(c.state.Session)
	return event.Order == c.order.ID && event.Usable() && c.order.PaidIn(event.Session)
}

func (c *checkout) answerPayment(ctx workflow.Context, report reported) (PaymentAnswer, error) {
	return c.answer(ctx, c.messageOf(ctx, report))
}

func (c *checkout) answerCancel(ctx workflow.Context) (PaymentAnswer, error) {
	return c.answer(ctx, message{id: cancelMessage, cancel: true})
}

// answer puts a message in and returns once it has been handled.
func (c *checkout) answer(ctx workflow.Context, m message) (PaymentAnswer, error) {
	var err error
	if c.inbox.put(m) {
		err = awaitAnswer(ctx, func() bool { return c.inbox.handled[m.id] })
	}
	return PaymentAnswer{Status: c.state.Status}, err
}

// canceledAnswerChange marks workflows whose handlers answer although the workflow was
// canceled. It is asked for only then.
const canceledAnswerChange = "answer-though-canceled"

// awaitAnswer waits in an update's handler. If the workflow is canceled, that reaches the
// handler's context, but not what the handler waits for, which goes on.
func awaitAnswer(ctx workflow.Context, known func() bool) error {
	err := workflow.Await(ctx, known)
	if !temporal.IsCanceledError(err) || workflow.GetVersion(ctx, canceledAnswerChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return err
	}
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	return workflow.Await(ctx, known)
}

// obeyCancellation treats a cancellation of the workflow itself (from the Web UI, say) as
// the buyer's: the seats and the provider's session are given back in order. Everything
// else runs on a context that the cancellation does not reach.
func (c *checkout) obeyCancellation(request workflow.Context) func(workflow.Context) {
	return func(ctx workflow.Context) {
		request.Done().Receive(ctx, nil)
		c.inbox.put(message{id: cancelMessage, cancel: true})
	}
}

// receiveSignals takes payment signals as long as the checkout runs. The SDK drops (and
// counts) a signal that it cannot decode; a signal about another order is ignored.
// Neither may fail a checkout.
func (c *checkout) receiveSignals(ctx workflow.Context) {
	signals := workflow.GetSignalChannel(ctx, PaymentSignal)
	for {
		var report reported
		signals.Receive(ctx, &report)
		c.takeSignal(ctx, report)
	}
}

// drainSignals takes signals that have arrived but were not received yet, before the
// workflow closes.
func (c *checkout) drainSignals(ctx workflow.Context) {
	signals := workflow.GetSignalChannel(ctx, PaymentSignal)
	for {
		var report reported
		if !signals.ReceiveAsync(&report) {
			return
		}
		c.takeSignal(ctx, report)
	}
}

func (c *checkout) takeSignal(ctx workflow.Context, report reported) {
	concerns := c.concerns(report.PaymentEvent)
	switch {
	case concerns && report.Type == domain.PaymentDeclined && ignoresDeclineSignals(ctx):
		workflow.GetLogger(ctx).Warn("Ignored a declined payment, as an earlier release did")
	case concerns:
		c.inbox.put(c.messageOf(ctx, report))
	case c.isOtherSessions(report) && workflow.GetVersion(ctx, otherSessionChange, workflow.DefaultVersion, 1) != workflow.DefaultVersion:
		event := report.PaymentEvent
		c.inbox.put(message{id: "other/" + domain.QualifiedID(domain.ProviderOf(event.Session), event.ID), other: true, event: event})
	default:
		workflow.GetLogger(ctx).Warn("Ignored a payment signal that is not about this order")
	}
}

// declinedSignalChange marks checkouts that count a decline which came as a signal. Workers
// from before ignored it, and their histories may have one: a newer API sends it while they
// still run. It is asked for only then. As an update they refused it, which leaves no trace.
const declinedSignalChange = "declined-by-signal"

func ignoresDeclineSignals(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, declinedSignalChange, workflow.DefaultVersion, 1) == workflow.DefaultVersion
}

// otherSessionChange marks checkouts that give back money which was taken for their order
// in another session, such as another provider's, and was reported by signal: we have
// acknowledged it. It is asked for only then. As an update such an event is refused, so the
// provider sends it again after the end.
const otherSessionChange = "money-of-another-session"

func (c *checkout) isOtherSessions(report reported) bool {
	event := report.PaymentEvent
	return !report.unsealed && event.Type.Paid() && event.Order == c.order.ID && event.Usable() && !c.order.PaidIn(event.Session)
}
