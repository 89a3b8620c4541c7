package main

import (
	"strings"
	"testing"

	"boxoffice/client"
)

func TestWhatIsHeardIsHeldAgainstTheLog(t *testing.T) {
	paid := `{"id":"evt_1","type":"order.paid","order":"a","schema":1}`
	begun := `{"id":"evt_2","type":"order.refund_begun","order":"a","schema":1}`
	other := `{"id":"evt_3","type":"order.paid","order":"b","schema":1}`
	log := []client.EventView{{ID: "evt_1", Type: "order.paid", Order: "a"}, {ID: "evt_2", Type: "order.refund_begun", Order: "a"}, {ID: "evt_3", Type: "order.paid", Order: "b"}}
	tests := []struct {
		name   string
		heard  []string
		copies int
		wrong  string // part of the violation; empty: none
	}{
		{"all, once", []string{other, paid, begun}, 0, ""},
		{"copies", []string{paid, paid, begun, paid, other}, 2, ""},
		{"one lost", []string{paid, begun}, 0, "never heard of order.paid evt_3"},
		{"one that is not in the log", []string{paid, begun, other, strings.ReplaceAll(other, "evt_3", "evt_4")}, 0, "evt_4, which is not in the log"},
		{"an id with two meanings", []string{paid, strings.Replace(paid, `"a"`, `"c"`, 1), begun, other}, 0, "came again as another"},
		{"out of order", []string{begun, paid, other}, 0, "heard of a as [evt_2 evt_1]"},
		{"no event", []string{paid, begun, other, "<html>"}, 0, "what is no event"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHearing()
			for _, body := range tt.heard {
				h.hear([]byte(body))
			}
			got := strings.Join(h.violations("it", log), "\n")
			if (got == "") != (tt.wrong == "") || !strings.Contains(got, tt.wrong) {
				t.Errorf("violations = %q, want %q", got, tt.wrong)
			}
			if h.copies != tt.copies && tt.wrong == "" {
				t.Errorf("%d copies, want %d", h.copies, tt.copies)
			}
			if has := h.has(log); has != (tt.name != "one lost") {
				t.Errorf("has all: %v", has)
			}
		})
	}
}

func TestMailsAreHeldAgainstTheLog(t *testing.T) {
	log := []client.EventView{{ID: "evt_1", Type: "order.paid", Order: "a"}, {ID: "evt_2", Type: "sale.opened"}}
	sent := mailRow{"evt_1", "tickets", "sent", "a"}
	tests := []struct {
		name  string
		mails []mailRow
		files []string
		wrong string
	}{
		{"sent", []mailRow{sent}, []string{"evt_1", "ask_1"}, ""},
		{"needless", []mailRow{{"evt_1", "tickets", "needless", "a"}}, nil, ""},
		{"never queued", nil, nil, "has no mail"},
		{"still due", []mailRow{{"evt_1", "tickets", "due", "a"}}, nil, "is due"},
		{"sent and not there", []mailRow{sent}, nil, "nobody has it"},
		{"about another order", []mailRow{{"evt_1", "tickets", "sent", "b"}}, []string{"evt_1"}, "its event calls for tickets about a"},
		{"of nothing", []mailRow{sent, {"evt_9", "tickets", "sent", "a"}}, []string{"evt_1", "evt_9"}, "of no event in the log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string]bool{}
			for _, file := range tt.files {
				files[file] = true
			}
			got := strings.Join(mailViolations(tt.mails, files, log), "\n")
			if (got == "") != (tt.wrong == "") || !strings.Contains(got, tt.wrong) {
				t.Errorf("violations = %q, want %q", got, tt.wrong)
			}
		})
	}
}

func TestEventsAreThoseOfTheOrdersEnd(t *testing.T) {
	paid := map[string]int{"order.paid": 1}
	refunded := map[string]int{"order.paid": 1, "order.refund_begun": 1, "order.refunded": 1}
	tests := []struct {
		name, status string
		events       map[string]int
		ok           bool
	}{
		{"paid", "paid", paid, true},
		{"paid, and a second capture that went back", "paid", map[string]int{"order.paid": 1, "payment.refunded": 1}, true},
		{"refunded", "refunded", refunded, true},
		{"money that bought nothing", "refunded", map[string]int{"payment.refunded": 2}, true},
		{"expired", "expired", nil, true},
		{"paid without its event", "paid", nil, false},
		{"paid twice", "paid", map[string]int{"order.paid": 2}, false},
		{"refunded, and its refund never done", "refunded", map[string]int{"order.paid": 1, "order.refund_begun": 1}, false},
		{"refunded without any event", "refunded", nil, false},
		{"expired, and paid", "expired", paid, false},
		{"paid, and refunded", "paid", refunded, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := eventsContradict(tt.status, tt.events); (got == "") != tt.ok {
				t.Errorf("%q", got)
			}
		})
	}
}
