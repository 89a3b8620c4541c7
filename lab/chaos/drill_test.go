package main

import (
	"errors"
	"testing"

	"boxoffice/client"
)

// Only what the loss excuses is excused.
func TestAnOrderIsJudged(t *testing.T) {
	paid := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}, paid: true, captured: true, tickets: "t1"}
	canceled := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}, canceled: true}
	held := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}}
	captured := acknowledged{CheckoutView: client.CheckoutView{Order: "a"}, captured: true}
	refunding := paid
	refunding.asked, refunding.refunding = true, true
	notFound := &client.Refusal{HTTPStatus: 404, Problem: client.Problem{Code: "not_found"}}
	tickets := []client.Ticket{{Code: "t1"}}
	for _, tt := range []struct {
		name           string
		mayBeForgotten bool
		told           acknowledged
		now            client.OrderView
		err            error
		broken         bool
	}{
		{"paid and there", false, paid, client.OrderView{Status: "paid", Tickets: tickets}, nil, false},
		{"paid and gone", false, paid, client.OrderView{}, notFound, true},
		{"paid and forgotten with Temporal", true, paid, client.OrderView{}, notFound, true},
		{"paid, and expired now", true, paid, client.OrderView{Status: "expired"}, nil, true},
		{"paid, with another ticket now", true, paid, client.OrderView{Status: "paid", Tickets: []client.Ticket{{Code: "t2"}}}, nil, true},
		{"captured and forgotten: the money goes back, and its page says so", true, captured, client.OrderView{}, notFound, true},
		{"captured and refunded", true, captured, client.OrderView{Status: "refunded"}, nil, false},
		{"held and forgotten with Temporal", true, held, client.OrderView{}, notFound, false},
		{"held since, and gone", false, held, client.OrderView{}, notFound, true},
		{"nobody can say", true, held, client.OrderView{}, errors.New("no answer"), true},
		{"still held", true, held, client.OrderView{Status: "held"}, nil, true},
		{"its cancel is forgotten with Temporal", true, canceled, client.OrderView{Status: "expired"}, nil, false},
		{"its refund is forgotten with Temporal", true, refunding, client.OrderView{Status: "paid", Tickets: tickets}, nil, false},
		{"its refund was accepted since, and it is paid", false, refunding, client.OrderView{Status: "paid", Tickets: tickets}, nil, true},
		{"canceled since, and expired now", false, canceled, client.OrderView{Status: "expired"}, nil, true},
	} {
		v := &judgement{}
		v.add(&tt.told, tt.mayBeForgotten, &tt.now, tt.err)
		if broken := len(v.broken) > 0; broken != tt.broken {
			t.Errorf("%s: broken is %v, want %v: %q", tt.name, broken, tt.broken, v.broken)
		}
	}
}
