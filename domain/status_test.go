package domain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"boxoffice/domain"
)

// constants are those of a type in this package's source, by value. It holds what
// lists them to the source: a new one cannot be forgotten there.
func constants(t *testing.T, file, typeName string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	for _, decl := range parsed.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			constant := spec.(*ast.ValueSpec)
			if of, ok := constant.Type.(*ast.Ident); ok && of.Name == typeName {
				values = append(values, strings.Trim(constant.Values[0].(*ast.BasicLit).Value, `"`))
			}
		}
	}
	require.NotEmpty(t, values)
	return values
}

func TestEveryStatusHasItsTerms(t *testing.T) {
	declared := constants(t, "status.go", "OrderStatus")
	var listed []string
	for _, status := range domain.OrderStatuses {
		listed = append(listed, string(status))
	}
	require.Equal(t, declared, listed, "domain/status.go: OrderStatuses lists every OrderStatus, in the order of its constants")
	for _, value := range declared {
		status := domain.OrderStatus(value)
		t.Run(value, func(t *testing.T) {
			require.NoError(t, status.Check(), "domain/status.go: statuses has no row for %s", status)
			terms := status.Terms()
			require.Contains(t, constants(t, "status.go", "TicketState"), string(terms.Tickets), "domain/status.go: the row of %s says nothing of its tickets", status)
			require.Contains(t, constants(t, "seats.go", "SeatFate"), string(terms.Seats), "domain/status.go: the row of %s says nothing of its seats", status)
			require.Contains(t, constants(t, "status.go", "LateMoney"), string(terms.LateMoney), "domain/status.go: the row of %s says nothing of late money", status)
			require.Equal(t, terms.LateMoney == domain.LateAwaited, terms.LateReason == "", "domain/status.go: late money of %s goes back for a reason", status)
			if terms.LateReason != "" {
				require.NoError(t, terms.LateReason.Check())
				require.False(t, terms.LateReason.OfOrder(), "late money bought no tickets")
			}
			require.Equal(t, !terms.Settled, terms.LateMoney == domain.LateAwaited, "a checkout awaits money until it has its ending")
			require.True(t, terms.Settled || terms.Waiting, "%s: without an ending somebody is awaited", status)
			require.False(t, terms.Final && terms.Waiting, "%s", status)
			require.NotEqual(t, terms.Shown, terms.Problem != "", "domain/status.go: %s is either shown or answered with a problem", status)
			if !terms.Shown {
				require.Contains(t, domain.Codes, terms.Problem)
			}
		})
	}
}

func TestWhatAStatusMeans(t *testing.T) {
	is := func(property func(domain.OrderStatus) bool) (those []domain.OrderStatus) {
		for _, status := range domain.OrderStatuses {
			if property(status) {
				those = append(those, status)
			}
		}
		return those
	}
	late := func(what domain.LateMoney) []domain.OrderStatus {
		return is(func(s domain.OrderStatus) bool { return s.Terms().LateMoney == what })
	}
	require.Equal(t, []domain.OrderStatus{domain.OrderPending, domain.OrderHeld}, is(func(s domain.OrderStatus) bool { return !s.Settled() }), "awaits a payment")
	require.Equal(t, []domain.OrderStatus{domain.OrderPaid, domain.OrderRefunding, domain.OrderRefunded}, is(domain.OrderStatus.Sold), "has or had tickets")
	require.Equal(t, []domain.OrderStatus{domain.OrderPending, domain.OrderHeld, domain.OrderRefunding}, is(func(s domain.OrderStatus) bool { return s.Terms().Waiting }))
	require.Equal(t, []domain.OrderStatus{domain.OrderRefunded}, is(func(s domain.OrderStatus) bool { return s.Terms().Final }))
	require.Equal(t, []domain.OrderStatus{domain.OrderPending, domain.OrderHeld}, late(domain.LateAwaited))
	require.Equal(t, []domain.OrderStatus{domain.OrderSoldOut, domain.OrderLimitReached, domain.OrderFailed, domain.OrderExpired}, late(domain.LateRebooks))
	require.Equal(t, []domain.OrderStatus{
		domain.OrderHeld, domain.OrderPaid, domain.OrderFailed, domain.OrderCanceled, domain.OrderExpired, domain.OrderRefunding, domain.OrderRefunded,
	}, domain.ShownStatuses())
	require.Equal(t, []domain.EventType{domain.EventOrderPaid, domain.EventOrderRefundBegun, domain.EventOrderRefunded, domain.EventPaymentRefunded}, domain.OrderEvents())
}

func TestAnUnknownValueIsAnErrorAndNeverANo(t *testing.T) {
	_, ofHold := domain.HoldOutcome("on_loan").Status()
	for name, err := range map[string]error{
		"a status":            domain.OrderStatus("disputed").Check(),
		"no status":           domain.OrderStatus("").Check(),
		"a hold":              ofHold,
		"a reason of refunds": domain.RefundReason("mood").Check(),
	} {
		t.Run(name, func(t *testing.T) {
			require.Error(t, err)
			require.True(t, domain.IsUnknown(err), "%v", err)
		})
	}
	require.Panics(t, func() { domain.OrderStatus("disputed").Settled() }, "nobody goes on with a guess")
	require.Panics(t, func() { domain.OrderStatus("disputed").Sold() })
}

func TestEveryVerdictOnAHoldHasAStatus(t *testing.T) {
	for _, outcome := range constants(t, "outcomes.go", "HoldOutcome") {
		status, err := domain.HoldOutcome(outcome).Status()
		require.NoError(t, err, "domain/outcomes.go: HoldOutcome.Status does not know %s", outcome)
		require.True(t, slices.Contains(domain.OrderStatuses, status))
	}
}

func TestEveryRefundReasonIsListed(t *testing.T) {
	for _, reason := range constants(t, "payment.go", "RefundReason") {
		require.NoError(t, domain.RefundReason(reason).Check(), "domain/payment.go: refundReasons has no row for %s", reason)
	}
}
