package domain

import (
	"testing"
	"time"
)

func TestStageOfACancellation(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		counts SaleCancellation
		want   CancelStage
	}{
		{"nothing is left", SaleCancellation{CanceledCheckouts: 3, OrdersRefunded: 9}, CancelFinished},
		{"a checkout is open", SaleCancellation{OpenCheckouts: 1, OrdersToRefund: 2}, CancelReleasing},
		{"a hold outlives its checkout", SaleCancellation{HeldTickets: 1}, CancelReleasing},
		{"orders are paid", SaleCancellation{OrdersToRefund: 1}, CancelRefunding},
		{"the provider has not given it back", SaleCancellation{OrdersRefunding: 1}, CancelRefunding},
		{"money came late", SaleCancellation{LatePayments: 1}, CancelRefunding},
		{"sold in the ledger, not recorded yet", SaleCancellation{SoldTickets: 1}, CancelRefunding},
		{"seats came back after the drain", SaleCancellation{AvailableTickets: 1}, CancelRefunding},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.counts.WithStage(now)
			if got.Stage != test.want || got.UpdatedAt != now || got.FinishedAt.IsZero() != (test.want != CancelFinished) {
				t.Errorf("got %+v, want stage %s", got, test.want)
			}
		})
	}
}
