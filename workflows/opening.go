package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"boxoffice/activities"
	"boxoffice/domain"
	"boxoffice/payments"
)

// opensMax is how often one checkout can be asked to open its session.
const opensMax = 50

// PayAnswer says where an order is paid. Page is empty if the order is not held any more.
type PayAnswer struct {
	Status domain.OrderStatus `json:"status"`
	Page   domain.PayPage     `json:"page,omitzero"`
}

// validateOpening refuses requests that would fill the history.
func (c *checkout) validateOpening(domain.PayWish) error {
	if c.inbox.opens >= opensMax && c.state.PayURL == "" {
		return reject(domain.CodeOverloaded, "the provider was asked too often to open a payment")
	}
	return nil
}

// answerOpen says where to pay. The session is in the checkout's state, and so in its
// history, before anybody gets the answer.
func (c *checkout) answerOpen(ctx workflow.Context, wish domain.PayWish) (PayAnswer, error) {
	if err := awaitAnswer(ctx, func() bool { return c.state.Hold.Outcome != "" }); err != nil {
		return PayAnswer{}, err
	}
	if c.state.Status == domain.OrderHeld && c.state.PayURL == "" {
		c.wish = wish
		if _, err := c.answer(ctx, message{id: fmt.Sprint("open/", c.inbox.opens), open: true}); err != nil {
			return PayAnswer{}, err
		}
	}
	answer := PayAnswer{Status: c.state.Status}
	switch {
	case answer.Status != domain.OrderHeld:
		return answer, nil
	case c.state.PayURL == "":
		return answer, reject(domain.CodeUnknown, "the provider did not open a payment in time")
	}
	answer.Page = domain.PayPage{Session: c.state.Session, URL: c.state.PayURL}
	return answer, nil
}

// openSession opens the session of the first attempt, once. If the provider does not
// answer in time, it is asked again when the buyer asks again, for the same attempt.
func (c *checkout) openSession(ctx workflow.Context) error {
	left := min(openTimeout, c.state.Hold.ExpiresAt.Sub(workflow.Now(ctx)))
	if c.state.PayURL != "" || left <= 0 {
		return nil
	}
	const attempt = 1
	open := activities.SessionToOpen{Provider: c.order.Provider, Opening: payments.Opening{
		Order: c.order.ID, Attempt: attempt, SaleID: c.order.SaleID, AmountMinor: c.order.AmountMinor, Currency: c.order.Currency,
		ExpiresAt: c.state.Hold.ExpiresAt, ReturnURL: c.wish.ReturnURL, Description: c.wish.Description,
		Authorize: c.order.AuthorizesFirst(), Processing: c.state.Hold.ProcessingExtension,
	}}
	var page domain.PayPage
	if err := callProviderWithin(ctx, "open a payment session", left, acts.OpenSession, open).Get(ctx, &page); err != nil {
		workflow.GetLogger(ctx).Warn("The provider has not opened a payment session", "Error", err)
		return nil // the order stays held
	}
	c.state.Session, c.state.PayURL, c.state.Attempt = page.Session, page.URL, attempt
	return nil
}
