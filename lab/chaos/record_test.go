package main

import (
	"strings"
	"testing"

	"boxoffice/client"
)

func state(status, code string) client.OrderView {
	s := client.OrderView{Status: status}
	if code != "" {
		s.Tickets = append(s.Tickets, client.Ticket{Code: code})
	}
	return s
}

func TestWhatWasAcknowledgedSurvives(t *testing.T) {
	tests := []struct {
		name  string
		said  acknowledged
		now   client.OrderView
		wrong string // part of the violation; empty: none
	}{
		{"held, and expired", acknowledged{}, state("expired", ""), ""},
		{"still held when nothing is open", acknowledged{}, state("held", ""), "nothing is open"},
		{"paid stays paid", acknowledged{paid: true, captured: true, tickets: "X"}, state("paid", "X"), ""},
		{"paid and then not", acknowledged{paid: true, tickets: "X"}, state("expired", ""), "shown as paid and is expired"},
		{"paid and then given back by nobody", acknowledged{paid: true, tickets: "X"}, state("refunded", ""), "shown as paid and is refunded"},
		{"paid with other tickets", acknowledged{paid: true, tickets: "X"}, state("paid", "Y"), "other tickets"},
		{"paid and refunded by the organiser", acknowledged{paid: true, asked: true, refunding: true, tickets: "X"}, state("refunded", ""), ""},
		{"a refund that was accepted and forgotten", acknowledged{paid: true, asked: true, refunding: true, tickets: "X"}, state("paid", "X"), "refund was accepted"},
		{"a refund whose answer got lost", acknowledged{paid: true, asked: true, tickets: "X"}, state("refunded", ""), ""},
		{"captured and sold", acknowledged{captured: true}, state("paid", "X"), ""},
		{"captured and given back", acknowledged{captured: true}, state("refunded", ""), ""},
		{"captured for nothing", acknowledged{captured: true}, state("expired", ""), "captured at the provider and is expired"},
		{"canceled", acknowledged{canceled: true}, state("canceled", ""), ""},
		{"declined, and the hold ran out", acknowledged{declined: true}, state("expired", ""), ""},
		{"declined, and that ended it", acknowledged{declined: true}, state("failed", ""), "was declined once"},
		{"canceled and still sold", acknowledged{canceled: true}, state("paid", "X"), "cancel was acknowledged"},
		{"free, and sold", acknowledged{free: true}, state("paid", "X"), ""},
		{"free, and its hold ran out before it could be sold", acknowledged{free: true}, state("expired", ""), ""},
		{"free, and taken back", acknowledged{free: true, asked: true}, state("refunded", ""), ""},
		{"free, and its sale is canceled", acknowledged{free: true, calledOff: true}, state("refunded", ""), ""},
		{"free, and taken back by nobody", acknowledged{free: true}, state("refunded", ""), "by nobody"},
		{"free, and failed", acknowledged{free: true}, state("failed", ""), "nothing to pay"},
		{"what has a price may have failed", acknowledged{}, state("failed", ""), ""},
		{"paid without tickets", acknowledged{}, state("paid", ""), "no tickets"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.said.violation(tt.now)
			if (got == "") != (tt.wrong == "") || !strings.Contains(got, tt.wrong) {
				t.Errorf("violation = %q, want %q", got, tt.wrong)
			}
		})
	}
}

func TestOneKeyIsOneOrder(t *testing.T) {
	r := newRecord()
	r.held(ask{key: "k"}, client.CheckoutView{Order: "1"})
	r.held(ask{key: "k"}, client.CheckoutView{Order: "1"})
	if got := r.contradictions(); len(got) != 0 {
		t.Errorf("the same answer twice: %v", got)
	}
	r.held(ask{key: "k"}, client.CheckoutView{Order: "2"})
	r.refused(ask{key: "k"}, "sold_out")
	if got := r.contradictions(); len(got) != 2 {
		t.Errorf("another order and a refusal for the same key: %v", got)
	}
}
