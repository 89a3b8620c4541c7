package mockpay

import (
	"fmt"
	"testing"

	"boxoffice/domain"
	"boxoffice/payments/mockpay"
)

func TestADisputeGoesItsCourse(t *testing.T) {
	for name, row := range map[string]struct {
		steps []string // bodies; the last one is looked at
		want  int      // its status
		state domain.ReversalState
		told  int // webhooks, with that of the payment
	}{
		"opened":                   {[]string{`{"state":"open"}`}, 200, domain.DisputeOpen, 2},
		"opened twice":             {[]string{`{"state":"open"}`, `{"state":"open"}`}, 200, domain.DisputeOpen, 2},
		"won":                      {[]string{`{"state":"open"}`, `{"state":"won"}`}, 200, domain.DisputeWon, 3},
		"lost":                     {[]string{`{"state":"open"}`, `{"state":"lost"}`}, 200, domain.DisputeLost, 3},
		"an inquiry, then opened":  {[]string{`{"state":"inquiry"}`, `{"state":"open"}`}, 200, domain.DisputeOpen, 3},
		"an inquiry, then dropped": {[]string{`{"state":"inquiry"}`, `{"state":"dropped"}`}, 200, domain.DisputeDropped, 3},
		"won without one":          {[]string{`{"state":"won"}`}, 409, "", 1},
		"lost after it was won":    {[]string{`{"state":"open"}`, `{"state":"won"}`, `{"state":"lost"}`}, 409, "", 3},
		"of another amount":        {[]string{`{"state":"open","amount":100}`, `{"state":"lost","amount":200}`}, 409, "", 2},
		"more than was captured":   {[]string{`{"state":"open","amount":6501}`}, 422, "", 1},
		"a state of a refund":      {[]string{`{"state":"made"}`}, 409, "", 1},
		"a word too many":          {[]string{`{"state":"open","colour":"red"}`}, 422, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.step(b.link(1), "succeeded")
			path := "/v1/sessions/" + mockpay.SessionID(orderNumber(1)) + "/dispute"
			for i, body := range row.steps {
				w := b.ask("POST", path, body)
				if isLast := i == len(row.steps)-1; isLast && w.Code != row.want || !isLast && w.Code != 200 {
					t.Fatalf("%s: %d %s", body, w.Code, w.Body)
				}
			}
			pending := b.pending()
			if len(pending) != row.told {
				t.Fatalf("%d webhooks, want %d", len(pending), row.told)
			}
			if row.state == "" {
				return
			}
			told := pending[len(pending)-1].Event
			disputes, _, err := list[domain.Reversal](b.bank, disputesBucket, 0, 10)
			if err != nil || len(disputes) != 1 || disputes[0] != told.Reversal || told.Type != domain.PaymentReversed || told.Reversal.State != row.state {
				t.Errorf("told %+v, listed %+v, %v", told, disputes, err)
			}
			b.reopen()
			if again, _, err := list[domain.Reversal](b.bank, disputesBucket, 0, 10); err != nil || len(again) != 1 || again[0] != disputes[0] {
				t.Errorf("after it was started again it lists %+v, %v", again, err)
			}
		})
	}
	b := setup(t)
	b.step(b.link(1), "failed")
	for _, what := range []string{`dispute`, `refund`} {
		if w := b.ask("POST", "/v1/sessions/"+mockpay.SessionID(orderNumber(1))+"/"+what, `{}`); w.Code != 404 {
			t.Errorf("%s of a session that failed: %d %s", what, w.Code, w.Body)
		}
	}
}

// However a payment is taken back, no more than what was captured goes back.
func TestNothingGoesBackTwice(t *testing.T) {
	for name, row := range map[string]struct {
		before []string // what happens first: path and body
		want   int64    // what the refund of the whole gives
		after  []string
		rest   int64 // what it gives when it is asked for again
	}{
		"disputed":                  {[]string{"dispute", `{"state":"open"}`}, 0, nil, 0},
		"disputed and won":          {[]string{"dispute", `{"state":"open"}`}, 0, []string{"dispute", `{"state":"won"}`}, 6500},
		"disputed and lost":         {[]string{"dispute", `{"state":"open"}`}, 0, []string{"dispute", `{"state":"lost"}`}, 0},
		"an inquiry":                {[]string{"dispute", `{"state":"inquiry"}`}, 6500, nil, 0},
		"a part disputed, then won": {[]string{"dispute", `{"state":"open","amount":3000}`}, 3500, []string{"dispute", `{"state":"won"}`}, 3000},
		"a part refunded elsewhere": {[]string{"refund", `{"key":"1","amount":1500}`}, 5000, []string{"refund", `{"key":"1","amount":1500}`}, 0},
		"all refunded elsewhere":    {[]string{"refund", `{"key":"1","amount":6500}`}, 0, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.step(b.link(1), "succeeded")
			payment := mockpay.SessionID(orderNumber(1))
			do := func(deed []string) {
				t.Helper()
				if len(deed) == 0 {
					return
				}
				if w := b.ask("POST", "/v1/sessions/"+payment+"/"+deed[0], deed[1]); w.Code != 200 {
					t.Fatalf("%s: %d %s", deed, w.Code, w.Body)
				}
			}
			given := func() (sum int64) {
				t.Helper()
				for range 2 {
					if w := b.ask("POST", mockpay.RefundsPath, fmt.Sprintf(`{"payment":%q,"amount":6500,"currency":"EUR"}`, payment)); w.Code != 200 {
						t.Fatalf("refund: %d %s", w.Code, w.Body)
					}
				}
				refunds, _, err := list[mockpay.Refund](b.bank, refundsBucket, 0, 10)
				if err != nil {
					t.Fatal(err)
				}
				ids := map[string]bool{}
				for _, r := range refunds {
					if ids[r.ID] {
						t.Errorf("two refunds have id %s", r.ID)
					}
					if ids[r.ID] = true; !r.Elsewhere {
						sum += r.AmountMinor
					}
				}
				return sum
			}
			do(row.before)
			if got := given(); got != row.want {
				t.Errorf("%d went back, want %d", got, row.want)
			}
			do(row.after)
			if got := given(); got != row.want+row.rest {
				t.Errorf("%d went back in the end, want %d", got, row.want+row.rest)
			}
		})
	}
}
