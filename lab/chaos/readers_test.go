package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"boxoffice/client"
	"boxoffice/domain"
	"boxoffice/notify/kafka"
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

// What the product publishes is what the run wants to hear, through a proxy that is cut meanwhile, on a broker that tells its
// clients the proxy's address.
func TestTheRunHearsWhatIsPublished(t *testing.T) {
	w := &world{config: config{seed: 1}, links: newLinks()}
	kafkaAddress, receiverAddress := freeAddress(), freeAddress()
	for name, upstream := range map[string]string{toKafka: kafkaAddress, toReceiver: receiverAddress} {
		if _, err := w.links.open(name, upstream); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.links.byName[name].cut)
	}
	var err error
	if w.readers, err = listenForEvents(w, kafkaAddress, receiverAddress); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.readers.close)
	w.readers.isUnruly = false
	publisher, err := kafka.New(kafka.Options{Brokers: []string{w.links.byName[toKafka].proxy.Listen}, TopicPrefix: kafka.TopicPrefixDefault})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(publisher.Close)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	event := func(n int64, kind domain.EventType, sale string, order byte) domain.Event {
		e := domain.Event{ID: domain.NewEventID(at, 1, n), Type: kind, Schema: 1, SaleID: sale, OccurredAt: at, Payload: json.RawMessage(`{"n":1}`)}
		if order != 0 {
			e.Order = domain.OrderID{1, order}
		}
		return e
	}
	events := []domain.Event{
		event(1, domain.EventSaleCreated, "chaos-1-0", 0), event(2, domain.EventOrderPaid, "chaos-1-0", 1), event(3, domain.EventAuditBroken, "", 0),
		event(4, domain.EventOrderRefundBegun, "chaos-1-0", 1), event(5, domain.EventPaymentRefunded, "", 2), event(6, domain.EventAuditHealed, "chaos-1-0", 0),
	}
	if err := publisher.Reader().Handle(t.Context(), events[:3]); err != nil {
		t.Fatal(err)
	}
	if err := w.links.byName[toKafka].cure(); err != nil { // connections break
		t.Fatal(err)
	}
	if err := publisher.Reader().Handle(t.Context(), events[3:]); err != nil {
		t.Fatal(err)
	}
	var log []client.EventView
	for i := range events {
		body, err := json.Marshal(&events[i])
		if err != nil {
			t.Fatal(err)
		}
		var view client.EventView
		if err := json.Unmarshal(body, &view); err != nil {
			t.Fatal(err)
		}
		log = append(log, view)
		response, err := http.Post("http://"+w.links.byName[toReceiver].proxy.Listen+"/events", "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
	}
	broker, err := w.consume(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	if got := broker.violations("Kafka", log); len(got) > 0 {
		t.Errorf("%q", got)
	}
	if got := w.readers.webhooks.violations("the receiver", log); len(got) > 0 {
		t.Errorf("%q", got)
	}
	if got := broker.violations("Kafka", log[:5]); len(got) != 1 {
		t.Errorf("with one that is not in the log: %q", got)
	}
}
