package domain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strings"
	"testing"

	"boxoffice/domain"
)

// constants returns the constants of a type in this package's source, by value. Tests compare lists of them with it, so no list
// can miss a new one.
func constants(t *testing.T, file, typeName string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
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
	if len(values) == 0 {
		t.Fatal("values is empty")
	}
	return values
}

func TestEveryStatusHasItsTerms(t *testing.T) {
	declared := constants(t, "status.go", "OrderStatus")
	var listed []string
	for _, status := range domain.OrderStatuses {
		listed = append(listed, string(status))
	}
	if !reflect.DeepEqual(listed, declared) {
		t.Fatalf("listed is %q, want %q: domain/status.go: OrderStatuses lists every OrderStatus, in the order of its constants", listed, declared)
	}
	for _, value := range declared {
		status := domain.OrderStatus(value)
		t.Run(value, func(t *testing.T) {
			if err := status.Check(); err != nil {
				t.Fatalf("domain/status.go: statuses has no row for %s: %v", status, err)
			}
			terms := status.Terms()
			if got := constants(t, "status.go", "TicketState"); !slices.Contains(got, string(terms.Tickets)) {
				t.Fatalf("no %q in %q: domain/status.go: the row of %s says nothing of its tickets", string(terms.Tickets), got, status)
			}
			if got := constants(t, "seats.go", "SeatFate"); !slices.Contains(got, string(terms.Seats)) {
				t.Fatalf("no %q in %q: domain/status.go: the row of %s says nothing of its seats", string(terms.Seats), got, status)
			}
			if got := constants(t, "status.go", "LateMoney"); !slices.Contains(got, string(terms.LateMoney)) {
				t.Fatalf("no %q in %q: domain/status.go: the row of %s says nothing of late money", string(terms.LateMoney), got, status)
			}
			if (terms.LateReason == "") != (terms.LateMoney == domain.LateAwaited) {
				t.Fatalf(`terms.LateReason == "" is %v, want %v: domain/status.go: late money of %s goes back for a reason`, terms.LateReason == "", terms.LateMoney == domain.LateAwaited, status)
			}
			if terms.LateReason != "" {
				if err := terms.LateReason.Check(); err != nil {
					t.Fatal(err)
				}
				if terms.LateReason.OfOrder() {
					t.Fatal("want false: terms.LateReason.OfOrder(): late money bought no tickets")
				}
			}
			if (terms.LateMoney == domain.LateAwaited) != !terms.Settled {
				t.Fatalf("terms.LateMoney == domain.LateAwaited is %v, want %v: a checkout awaits money until it has its ending", terms.LateMoney == domain.LateAwaited, !terms.Settled)
			}
			if !(terms.Settled || terms.Waiting) {
				t.Fatalf("want true: terms.Settled || terms.Waiting: %s: a checkout without an ending waits for somebody", status)
			}
			if terms.Final && terms.Waiting {
				t.Fatalf("want false: terms.Final && terms.Waiting: %s", status)
			}
			if (terms.Problem != "") == terms.Shown {
				t.Fatalf(`terms.Problem != "" is %v: domain/status.go: %s is either shown or answered with a problem`, terms.Problem != "", status)
			}
			if !terms.Shown {
				if !slices.Contains(domain.Codes, terms.Problem) {
					t.Fatalf("no %q in %q", terms.Problem, domain.Codes)
				}
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
	if got, want := is(func(s domain.OrderStatus) bool { return !s.Settled() }), []domain.OrderStatus{domain.OrderPending, domain.OrderHeld}; !reflect.DeepEqual(got, want) {
		t.Fatalf("is(func(s domain.OrderStatus) bool { return !s.Settled() }) is %q, want %q: awaits a payment", got, want)
	}
	if got, want := is(domain.OrderStatus.Sold), []domain.OrderStatus{domain.OrderPaid, domain.OrderRefunding, domain.OrderRefunded}; !reflect.DeepEqual(got, want) {
		t.Fatalf("is(domain.OrderStatus.Sold) is %q, want %q: has or had tickets", got, want)
	}
	if got, want := is(func(s domain.OrderStatus) bool { return s.Terms().Waiting }), []domain.OrderStatus{domain.OrderPending, domain.OrderHeld, domain.OrderRefunding}; !reflect.DeepEqual(got, want) {
		t.Fatalf("is(func(s domain.OrderStatus) bool { return s.Terms().Waiting }) is %q, want %q", got, want)
	}
	if got, want := is(func(s domain.OrderStatus) bool { return s.Terms().Final }), []domain.OrderStatus{domain.OrderRefunded}; !reflect.DeepEqual(got, want) {
		t.Fatalf("is(func(s domain.OrderStatus) bool { return s.Terms().Final }) is %q, want %q", got, want)
	}
	if got, want := late(domain.LateAwaited), []domain.OrderStatus{domain.OrderPending, domain.OrderHeld}; !reflect.DeepEqual(got, want) {
		t.Fatalf("late(domain.LateAwaited) is %q, want %q", got, want)
	}
	if got, want := late(domain.LateRebooks), []domain.OrderStatus{domain.OrderSoldOut, domain.OrderLimitReached, domain.OrderFailed, domain.OrderExpired}; !reflect.DeepEqual(got, want) {
		t.Fatalf("late(domain.LateRebooks) is %q, want %q", got, want)
	}
	if got, want := domain.ShownStatuses(), []domain.OrderStatus{
		domain.OrderHeld, domain.OrderPaid, domain.OrderFailed, domain.OrderCanceled, domain.OrderExpired, domain.OrderRefunding, domain.OrderRefunded,
	}; !reflect.DeepEqual(got, want) {
		t.Fatalf("domain.ShownStatuses() is %q, want %q", got, want)
	}
	if got, want := domain.OrderEvents(), []domain.EventType{domain.EventOrderPaid, domain.EventOrderRefundBegun, domain.EventOrderRefunded, domain.EventPaymentRefunded}; !reflect.DeepEqual(got, want) {
		t.Fatalf("domain.OrderEvents() is %q, want %q", got, want)
	}
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
			if err == nil {
				t.Fatal("no error, want one")
			}
			if !domain.IsUnknown(err) {
				t.Fatalf("want true: domain.IsUnknown(err): %v", err)
			}
		})
	}
	if !panics(func() { domain.OrderStatus("disputed").Settled() }) {
		t.Fatal("no panic: the caller goes on with a guess")
	}
	if !panics(func() { domain.OrderStatus("disputed").Sold() }) {
		t.Fatal("no panic: the caller goes on with a guess")
	}
}

func TestEveryVerdictOnAHoldHasAStatus(t *testing.T) {
	for _, outcome := range constants(t, "outcomes.go", "HoldOutcome") {
		status, err := domain.HoldOutcome(outcome).Status()
		if err != nil {
			t.Fatalf("domain/outcomes.go: HoldOutcome.Status does not know %s: %v", outcome, err)
		}
		if !slices.Contains(domain.OrderStatuses, status) {
			t.Fatal("want true: slices.Contains(domain.OrderStatuses, status)")
		}
	}
}

func TestEveryRefundReasonIsListed(t *testing.T) {
	for _, reason := range constants(t, "payment.go", "RefundReason") {
		if err := domain.RefundReason(reason).Check(); err != nil {
			t.Fatalf("domain/payment.go: refundReasons has no row for %s: %v", reason, err)
		}
	}
}

func panics(f func()) (does bool) {
	defer func() { does = recover() != nil }()
	f()
	return false
}
