package orders_test

import (
	"testing"
	"time"

	"boxoffice/domain"
	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// finding is a finding of an invariant with n offenders.
func finding(invariant, subject string, offenders int64) domain.AuditFinding {
	return domain.AuditFinding{AuditKey: domain.AuditKey{Invariant: invariant, Subject: subject}, Offenders: offenders, Listed: []string{"pay_1"}, ToDo: "Refund it."}
}

// names reduces findings to what the tests compare.
func names(findings []domain.AuditFinding) (all []domain.AuditKey) {
	for _, f := range findings {
		all = append(all, f.AuditKey)
	}
	return all
}

// A finding has one event when it appears and one when it heals, whatever happens in between.
func TestRecordAuditReturnsWhatIsNew(t *testing.T) {
	b := setup(t)
	i2, i4 := finding("I2", "", 1), finding("I4", "class A", 2)
	for i, step := range []struct {
		name             string
		record           domain.AuditRecord
		appeared, healed []domain.AuditKey
	}{
		{"all is well", domain.AuditRecord{}, nil, nil},
		{"two appear", domain.AuditRecord{Broken: []domain.AuditFinding{i2, i4}}, []domain.AuditKey{i2.AuditKey, i4.AuditKey}, nil},
		{"they stay", domain.AuditRecord{Broken: []domain.AuditFinding{i2, i4}}, nil, nil},
		{"one grows", domain.AuditRecord{Broken: []domain.AuditFinding{i2, finding("I4", "class A", 9)}}, nil, nil},
		{"one heals, the other cannot be looked at", domain.AuditRecord{Unread: []string{"the payment provider"}, Unjudged: []domain.AuditKey{i2.AuditKey}}, nil, []domain.AuditKey{i4.AuditKey}},
		{"the other heals", domain.AuditRecord{}, nil, []domain.AuditKey{i2.AuditKey}},
		{"it comes back", domain.AuditRecord{Broken: []domain.AuditFinding{i2}}, []domain.AuditKey{i2.AuditKey}, nil},
	} {
		step.record.SaleID, step.record.EndedAt = b.sale.ID, day.Add(time.Duration(i)*time.Minute)
		appeared, healed, err := b.store.RecordAudit(b.ctx, step.record)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		wantEqual(t, step.name+": appeared", names(appeared), step.appeared)
		wantEqual(t, step.name+": healed", names(healed), step.healed)
	}
	for event, want := range map[domain.EventType]int64{domain.EventAuditBroken: 3, domain.EventAuditHealed: 2} {
		if n := b.count(t, `SELECT count(*) FROM outbox WHERE event = $1 AND sale_id = $2`, string(event), b.sale.ID); int64(n) != want {
			t.Errorf("%d events %s, want %d", n, event, want)
		}
	}
	if n := b.count(t, `SELECT count(*) FROM outbox WHERE payload->>'invariant' = 'I4' AND event = 'audit.broken'
		AND payload->>'to_do' = 'Refund it.' AND payload->'listed'->>0 = 'pay_1' AND (payload->>'offenders')::int = 2`); n != 1 {
		t.Error("the event does not say what is broken and what to do")
	}
}

func TestAuditStateIsOfAllSales(t *testing.T) {
	b := setup(t)
	state, err := b.store.AuditState(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if state.Audited {
		t.Error("audited before any audit was recorded")
	}
	blind := []string{"Temporal"}
	for _, r := range []domain.AuditRecord{
		{SaleID: "", EndedAt: day, Took: time.Second, Broken: []domain.AuditFinding{finding("I2", "", 3)}},
		{SaleID: b.sale.ID, EndedAt: day.Add(time.Minute), Took: 2 * time.Second, Waiting: 4, Broken: []domain.AuditFinding{finding("I2", "", 2)}},
		{SaleID: b.sale.ID, EndedAt: day.Add(time.Hour), Took: 2 * time.Second, Waiting: 5, Unread: blind, Broken: []domain.AuditFinding{finding("I2", "", 1)}},
	} {
		if _, _, err := b.store.RecordAudit(b.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if state, err = b.store.AuditState(b.ctx); err != nil {
		t.Fatal(err)
	}
	lone, ofSale := domain.AuditFinding{Since: day, Offenders: 3}, domain.AuditFinding{SaleID: b.sale.ID, Since: day.Add(time.Minute), Offenders: 1}
	lone.Invariant, ofSale.Invariant = "I2", "I2"
	wantEqual(t, "AuditState", state, orders.AuditState{
		Audited: true, CompleteAt: day, Took: 3 * time.Second, Unread: blind, Waiting: 5, Findings: []domain.AuditFinding{lone, ofSale},
	})
}

func TestAuditStateWithoutACompleteAudit(t *testing.T) {
	b := setup(t)
	for _, r := range []domain.AuditRecord{{EndedAt: day}, {SaleID: b.sale.ID, EndedAt: day, Unread: []string{"Temporal"}}} {
		if _, _, err := b.store.RecordAudit(b.ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	state, err := b.store.AuditState(b.ctx)
	if err != nil || !state.Audited || !state.CompleteAt.IsZero() {
		t.Errorf("state %+v, error %v: one sale was never audited, and the state must say so", state, err)
	}
}

// EventCounts names the payments whose event, or whose row, is gone.
func TestEventCountsNamesLonePayments(t *testing.T) {
	for name, tc := range map[string]struct {
		sql  string
		want domain.EventCount
	}{
		"event lost": {`DELETE FROM outbox WHERE payment = $1`,
			domain.EventCount{Event: domain.EventOrderPaid, Events: 1, Rows: 2}},
		"event of nothing": {`UPDATE outbox SET event = 'order.refunded' WHERE payment = $1`,
			domain.EventCount{Event: domain.EventOrderRefunded, Events: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			lost := b.sold(t, keyOf(1))
			b.record(t, lost)
			b.record(t, b.sold(t, keyOf(2)))
			if err := orderstest.Exec(b.ctx, b.url, tc.sql, lost.Capture.Payment); err != nil {
				t.Fatal(err)
			}
			counts, err := b.store.EventCounts(b.ctx, b.sale.ID)
			if err != nil {
				t.Fatal(err)
			}
			tc.want.Lone = []string{lost.Capture.Payment}
			for _, count := range counts {
				if count.Event == tc.want.Event {
					wantEqual(t, "EventCounts", count, tc.want)
				}
			}
		})
	}
}

func TestSchemaRefusesEventsOfTheAuditThatNameAPayment(t *testing.T) {
	b := setup(t)
	b.record(t, b.sold(t, keyOf(1)))
	for name, sql := range map[string]string{
		"an audit event with a payment":    `UPDATE outbox SET event = 'audit.broken'`,
		"an order event without a payment": `UPDATE outbox SET payment = NULL`,
		"an unknown type":                  `UPDATE outbox SET event = 'audit', payment = NULL, order_id = NULL`,
		"a finding without an offender":    `INSERT INTO audits VALUES ('x', now(), NULL, 0, '{}', 0); INSERT INTO audit_findings VALUES ('x', 'I1', '', now(), 0)`,
	} {
		t.Run(name, func(t *testing.T) {
			if err := orderstest.Exec(b.ctx, b.url, sql); err == nil {
				t.Errorf("accepted: %s", sql)
			}
		})
	}
}
