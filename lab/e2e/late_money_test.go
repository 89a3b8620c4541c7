package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"boxoffice/orders/orderstest"

	server "boxoffice/mockpay"
)

// Endings of money that its checkout could not use. MockPay takes it for real,
// so that its log of captures and refunds is what verify is held against.

// lateID is the workflow of a payment that came after the end; the first payment
// of a session has the session's id.
func lateID(o order) string { return "late/" + o.Order + "/" + o.PaymentSession }

// expired lets an order expire.
func (s *stack) expired(t *testing.T, sale string) order {
	t.Helper()
	o := s.hold(t, sale, items{"A": 1})
	s.awaitStatus(t, o, "expired")
	return o
}

// sellOut sells a seat to somebody else.
func (s *stack) sellOut(t *testing.T, sale string) {
	t.Helper()
	other := s.hold(t, sale, items{"A": 1})
	s.pay(t, other, "succeeded")
	s.awaitStatus(t, other, "paid")
}

func (s *stack) cancel(t *testing.T, o order) {
	t.Helper()
	_, err := s.boxOffice().CancelOrder(t.Context(), o.Order, o.Token)
	if err != nil {
		t.Fatal(err)
	}
}

func endsLateRebooked(t *testing.T, s *stack) string {
	sale := s.sale(t, 1, shortHold, 5)
	o := s.expired(t, sale)
	s.capture(t, o, nil)
	if got := s.awaitStatus(t, o, "paid").Tickets; len(got) != 1 {
		t.Fatalf(`%d in s.awaitStatus(t, o, "paid").Tickets, want 1: %+v`, len(got), got)
	}
	s.awaitStock(t, sale, "A", level{Sold: 1})
	return lateID(o)
}

func endsLateRefunded(t *testing.T, s *stack) string {
	sale := s.sale(t, 1, shortHold, 5)
	o := s.expired(t, sale)
	s.sellOut(t, sale)
	s.capture(t, o, nil)
	if got := s.awaitStatus(t, o, "refunded").Tickets; len(got) != 0 {
		t.Fatalf(`s.awaitStatus(t, o, "refunded").Tickets is %+v, want nothing`, got)
	}
	s.awaitReturned(t, o.PaymentSession)
	return lateID(o)
}

// endsFailedThenPaidRebooked: the provider contradicts itself.
func endsFailedThenPaidRebooked(t *testing.T, s *stack) string {
	sale := s.sale(t, 1, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.misbehave(t, o, "contradict")
	s.pay(t, o, "succeeded")
	if got := s.awaitStatus(t, o, "paid").Tickets; len(got) != 1 {
		t.Fatalf(`%d in s.awaitStatus(t, o, "paid").Tickets, want 1: %+v`, len(got), got)
	}
	s.awaitStock(t, sale, "A", level{Sold: 1})
	return lateID(o)
}

func endsFailedThenPaidRefunded(t *testing.T, s *stack) string {
	sale := s.sale(t, 1, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.pay(t, o, "failed")
	s.awaitStatus(t, o, "failed")
	s.sellOut(t, sale)
	s.capture(t, o, nil)
	if got := s.awaitStatus(t, o, "refunded").Tickets; len(got) != 0 {
		t.Fatalf(`s.awaitStatus(t, o, "refunded").Tickets is %+v, want nothing`, got)
	}
	s.awaitReturned(t, o.PaymentSession)
	return lateID(o)
}

// endsCanceledThenPaid: seats are left, but nobody wants them.
func endsCanceledThenPaid(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.cancel(t, o)
	s.capture(t, o, nil)
	s.awaitStatus(t, o, "refunded")
	s.awaitReturned(t, o.PaymentSession)
	s.awaitStock(t, sale, "A", level{Available: 10})
	return lateID(o)
}

// endsUnknownOrderRefunded: money for an order that was never placed here.
func endsUnknownOrderRefunded(t *testing.T, s *stack) string {
	id := strings.ReplaceAll(uuid.NewString(), "-", "")[:30] + "00"
	o := order{Order: id, PaymentSession: "ps_" + id, Amount: 6500, Currency: "EUR"}
	s.capture(t, o, nil)
	s.awaitReturned(t, o.PaymentSession)
	s.awaitAcknowledged(t, o)
	return lateID(o)
}

// endsWrongAmount: not a ticket, refunded; the hold stays for the right payment.
func endsWrongAmount(t *testing.T, s *stack) string {
	o := s.hold(t, s.sale(t, 10, longHold, 5), items{"A": 1})
	s.misbehave(t, o, "wrong_amount")
	s.pay(t, o, "succeeded")
	s.awaitReturned(t, o.PaymentSession)
	if got := s.state(t, o).Status; got != "held" {
		t.Fatalf(`s.state(t, o).Status is %q, want "held"`, got)
	}
	s.capture(t, o, func(c *server.CaptureRequest) { c.Nth = 2 })
	s.awaitStatus(t, o, "paid")
	s.awaitClosed(t, lateID(o))
	if got := s.metrics(t); !strings.Contains(got, "boxoffice_flagged_total{what=\"wrong_amount\"}") {
		t.Fatalf("no %q in %s", "boxoffice_flagged_total{what=\"wrong_amount\"}", got)
	}
	return "checkout/" + o.Order
}

// endsWrongCurrency: the right payment never comes.
func endsWrongCurrency(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, shortHold, 5)
	o := s.hold(t, sale, items{"A": 1})
	s.misbehave(t, o, "wrong_currency")
	s.pay(t, o, "succeeded")
	if got := s.awaitStatus(t, o, "refunded").Tickets; len(got) != 0 {
		t.Fatalf(`s.awaitStatus(t, o, "refunded").Tickets is %+v, want nothing`, got)
	}
	s.awaitReturned(t, o.PaymentSession)
	s.awaitClosed(t, "checkout/"+o.Order)
	s.awaitStock(t, sale, "A", level{Available: 10})
	return lateID(o)
}

// endsUnrecordable: the database refuses a paid order and always will. Here a constraint
// does that; in production it would be a bug.
func endsUnrecordable(t *testing.T, s *stack) string {
	sale := s.sale(t, 10, longHold, 5)
	constraint := `"never ` + sale + `"`
	if err := orderstest.Exec(t.Context(), s.env["DATABASE_URL"],
		`ALTER TABLE orders ADD CONSTRAINT `+constraint+` CHECK (sale_id <> '`+sale+`') NOT VALID`); err != nil {
		t.Fatal(err)
	}
	o := s.hold(t, sale, items{"A": 1, "a": 1})
	s.pay(t, o, "succeeded")
	if got := s.awaitStatus(t, o, "refunded").Tickets; len(got) != 0 {
		t.Fatalf(`s.awaitStatus(t, o, "refunded").Tickets is %+v, want nothing`, got)
	}
	s.awaitReturned(t, o.PaymentSession)
	s.awaitStock(t, sale, "A", level{Available: 10})
	s.awaitStock(t, sale, "a", level{Available: 10})
	s.awaitClosed(t, lateID(o))
	return "checkout/" + o.Order
}

// endsRefundRetried: the provider takes no refunds for a while, and an operator
// sees that one is owed: by the order, a metric, and the workflow that tries.
func endsRefundRetried(t *testing.T, s *stack) string {
	o := s.hold(t, s.sale(t, 10, longHold, 5), items{"A": 1})
	s.setMischief(t, o, &server.Mischief{RefuseRefundsSeconds: 3600})
	s.cancel(t, o)
	s.capture(t, o, nil)
	s.awaitStatus(t, o, "refunding")
	owed := regexp.MustCompile(`boxoffice_refunds_owed [1-9]`)
	eventually(t, "a metric shows that money is owed", func() bool { return owed.MatchString(s.metrics(t)) })
	eventually(t, "the Web UI says what it waits for", func() bool {
		described, err := s.temporal.DescribeWorkflowExecution(t.Context(), lateID(o), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, pending := range described.GetPendingActivities() {
			if pending.GetActivityType().GetName() == "RefundPayment" && pending.GetAttempt() > 2 {
				return pending.GetLastFailure() != nil
			}
		}
		return false
	})
	s.setMischief(t, o, &server.Mischief{})
	s.awaitStatus(t, o, "refunded")
	s.awaitReturned(t, o.PaymentSession)
	return lateID(o)
}
