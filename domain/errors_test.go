package domain_test

import (
	"errors"
	"fmt"
	"testing"

	"boxoffice/domain"
)

func TestDefiniteAndUnknownAreDifferent(t *testing.T) {
	cause := errors.New("connection reset")
	tests := []struct {
		name    string
		err     error
		code    domain.Code
		unknown bool
	}{
		{"definite", &domain.Error{Code: domain.CodeSoldOut}, domain.CodeSoldOut, false},
		{"definite, wrapped", fmt.Errorf("hold: %w", &domain.Error{Code: domain.CodeSoldOut}), domain.CodeSoldOut, false},
		{"unknown", &domain.UnknownError{Op: "hold", ID: "x", Err: cause}, domain.CodeUnknown, true},
		{"unknown, wrapped", fmt.Errorf("hold: %w", &domain.UnknownError{Err: cause}), domain.CodeUnknown, true},
		{"unknown because of something definite", &domain.UnknownError{Err: &domain.Error{Code: domain.CodeNotFound}}, domain.CodeUnknown, true},
		{"definite because of something unknown", &domain.Error{Code: domain.CodeInFlight, Err: &domain.UnknownError{Err: cause}}, domain.CodeInFlight, false},
		{"joined", errors.Join(cause, &domain.Error{Code: domain.CodeSoldOut}), domain.CodeSoldOut, false},
		{"anything else is our fault", cause, domain.CodeInternal, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := domain.CodeOf(tt.err); got != tt.code {
				t.Fatalf("domain.CodeOf(tt.err) is %q, want %q", got, tt.code)
			}
			if got := domain.IsUnknown(tt.err); got != tt.unknown {
				t.Fatalf("domain.IsUnknown(tt.err) is %v, want %v", got, tt.unknown)
			}
		})
	}
	if err := (&domain.UnknownError{Err: cause}); !errors.Is(err, cause) {
		t.Fatalf("the error is %v, want %v", err, cause)
	}
}

func TestStatusesSettle(t *testing.T) {
	for _, s := range domain.OrderStatuses {
		waits := s == domain.OrderPending || s == domain.OrderHeld
		if got := s.Settled(); got != !waits {
			t.Fatalf("s.Settled() is %v, want %v: %v", got, !waits, s)
		}
	}
}
