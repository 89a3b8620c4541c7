package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/workflowservice/v1"
)

// The whole box office, on every ledger that this machine has.
func TestBoxOffice(t *testing.T) {
	for _, ledger := range ledgers(t) {
		t.Run(ledger, func(t *testing.T) {
			dir := dataDir(t)
			s := startStack(t, dir, ledger)
			// A group: its parallel tests end before verify begins.
			t.Run("endings", func(t *testing.T) { testEndings(t, s) })
			t.Run("crash after the post", func(t *testing.T) { testCrashAfterPost(t, s) })
			t.Run("no buyer in the database's log", func(t *testing.T) { testDatabaseLog(t, s) })
			if *capture != "" {
				return
			}
			t.Run("what a checkout costs Temporal", func(t *testing.T) {
				if ledger != embeddedLedger {
					t.Skip("the same on each ledger: counted on the embedded one")
				}
				testCosts(t, s)
			})
			t.Run("clocks", func(t *testing.T) { testClocks(t, s) })
			t.Run("signal by hand", func(t *testing.T) { testSignalByHand(t, s) })
			t.Run("bad input", func(t *testing.T) { testBadInput(t, s) })
			t.Run("strangers", func(t *testing.T) { testStrangers(t, s) })
			t.Run("repeats", func(t *testing.T) { testRepeats(t, s) })
			t.Run("hang-ups", func(t *testing.T) { testHangUps(t, s) })
			t.Run("without JavaScript", func(t *testing.T) { testWithoutJavaScript(t, s) })
			t.Run("one checkout a buyer", func(t *testing.T) { testOneCheckoutPerBuyer(t, s) })
			t.Run("a hidden class", func(t *testing.T) { testHiddenClass(t, s) })
			t.Run("back from paying", func(t *testing.T) { testWayBack(t, s) })
			t.Run("free tickets", func(t *testing.T) { testFree(t, s) })
			t.Run("another payment provider", func(t *testing.T) { testAnotherProvider(t, s) })
			t.Run("stripe", func(t *testing.T) { testStripe(t, s) })
			t.Run("stripe, seats first", func(t *testing.T) { testStripeSeatsFirst(t, s) })
			t.Run("delayed methods", func(t *testing.T) { testDelayed(t, s) })
			t.Run("disputes and refunds elsewhere", func(t *testing.T) { testReversals(t, s) })
			t.Run("limits of stripe", func(t *testing.T) { testStripeLimits(t, s) })
			t.Run("mail", func(t *testing.T) { testMail(t, s) })
			t.Run("erasure of a buyer", func(t *testing.T) { testErasure(t, s) })
			t.Run("webhooks to others", func(t *testing.T) { testWebhooksToOthers(t, s) })
			t.Run("figures", func(t *testing.T) { testFigures(t, s) })
			t.Run("a plan for a sale", func(t *testing.T) { testPlan(t, s) })
			t.Run("declined in a rush", func(t *testing.T) { testDeclinedInARush(t, s) })
			t.Run("last seat", func(t *testing.T) { testLastSeat(t, s) })
			t.Run("demo with a killed service", func(t *testing.T) { testDemoWithKill(t, s) })
			t.Run("metrics", func(t *testing.T) { testMetrics(t, s) })
			t.Run("verify", func(t *testing.T) { testVerify(t, s) })
			t.Run("restart", func(t *testing.T) { testRestart(t, s, dir, ledger) })
		})
	}
}

func (s *stack) findWorkflow(t *testing.T, query string) string {
	t.Helper()
	found, err := s.temporal.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(found.GetExecutions()) == 0 {
		return ""
	}
	return found.GetExecutions()[0].GetExecution().GetWorkflowId()
}

// Whatever is sent: a clear problem with its own code, nothing lost, nothing
// held by mistake, never a 500.
func testBadInput(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	checkouts := s.api("/v1/sales/" + sale + "/checkouts")
	key := func() map[string]string { return map[string]string{"Idempotency-Key": newKey()} }
	paid := s.hold(t, sale, items{"A": 1})
	s.pay(t, paid, "succeeded")
	s.awaitStatus(t, paid, "paid")
	unknown := order{Order: strings.Repeat("ab", 15) + "00", PaymentSession: "ps_" + strings.Repeat("ab", 15) + "00", Amount: 1, Currency: "EUR"}

	look := func(o order) answer {
		return asked(t, func(ctx context.Context) error {
			_, err := s.boxOffice().GetOrder(ctx, o.Order, "x")
			return err
		})
	}

	tests := []struct {
		name   string
		do     func() answer
		status int
		code   string
	}{
		{"malformed JSON", func() answer { return s.request(t, "POST", checkouts, key(), `{"items":`) }, 422, "invalid"},
		{"no body", func() answer { return s.request(t, "POST", checkouts, key(), nil) }, 422, "invalid"},
		{"a body of 1 MB", func() answer {
			return s.request(t, "POST", checkouts, key(), `{"x":"`+strings.Repeat("x", 1<<20)+`"}`)
		}, 413, "too_large"},
		{"unknown class", func() answer {
			return s.request(t, "POST", checkouts, key(), `{"items":[{"class":"Z","quantity":1}],"buyer":{"email":"a@example.com"}}`)
		}, 422, "invalid"},
		{"quantity 0", func() answer {
			return s.request(t, "POST", checkouts, key(), `{"items":[{"class":"A","quantity":0}],"buyer":{"email":"a@example.com"}}`)
		}, 422, "invalid"},
		{"quantity above the limit", func() answer { return s.checkout(t, sale, newKey(), items{"A": 5}, newBuyer()) }, 429, "limit_reached"},
		{"bad e-mail", func() answer { return s.checkout(t, sale, newKey(), items{"A": 1}, "nobody") }, 422, "invalid"},
		{"no Idempotency-Key", func() answer {
			return s.request(t, "POST", checkouts, nil, checkoutBody(items{"A": 1}, newBuyer()))
		}, 400, "key_missing"},
		{"unknown sale", func() answer { return s.checkout(t, "no-such-sale", newKey(), items{"A": 1}, newBuyer()) }, 404, "not_found"},
		{"unknown order", func() answer { return look(unknown) }, 404, "not_found"},
		{"wrong token", func() answer { return look(paid) }, 404, "not_found"},
		{"cancel after paying", func() answer {
			return asked(t, func(ctx context.Context) error {
				_, err := s.boxOffice().CancelOrder(ctx, paid.Order, paid.Token)
				return err
			})
		}, 409, "already_paid"},
		{"forged webhook", func() answer {
			return s.request(t, "POST", s.api("/v1/webhooks/mockpay"), map[string]string{
				"webhook-id": "e", "webhook-timestamp": fmt.Sprint(time.Now().Unix()), "webhook-signature": "v1,AAAA",
			}, event("payment.succeeded", paid, nil))
		}, 401, "forged"},
		{"stale webhook", func() answer {
			return s.webhook(t, "e", time.Now().Add(-10*time.Minute), event("payment.succeeded", paid, nil))
		}, 401, "forged"},
		{"webhook from the future", func() answer {
			return s.webhook(t, "e", time.Now().Add(10*time.Minute), event("payment.succeeded", paid, nil))
		}, 401, "forged"},
		{"webhook for an unknown order", func() answer { return s.webhook(t, "e", time.Now(), event("payment.succeeded", unknown, nil)) }, 404, "not_found"},
		{"admin without a token", func() answer { return s.request(t, "POST", s.api("/v1/sales"), nil, `{}`) }, 401, "unauthorized"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.do()
			if a.status != tt.status {
				t.Fatalf("a.status is %v, want %v: %s", a.status, tt.status, a.body)
			}
			if got := a.code(t); got != tt.code {
				t.Fatalf("a.code(t) is %q, want %q", got, tt.code)
			}
		})
	}
	s.awaitStock(t, sale, "A", level{Sold: 1, Available: 9})
}

// testDatabaseLog: one ending has the database refuse an order, which it would log
// with the whole row.
func testDatabaseLog(t *testing.T, s *stack) {
	log, err := os.ReadFile(filepath.Join(s.dir, "log", "postgres.log"))
	if os.IsNotExist(err) {
		t.Skip("SKIPPED: the database is not the stack's own")
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "ERROR") {
		t.Fatalf("no %q in %s: nothing was refused: this shows nothing", "ERROR", string(log))
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, "@example.com") {
			t.Fatalf("%q is in %s", "@example.com", line)
		}
	}
}

func testRepeats(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	key, buyer := newKey(), newBuyer()
	first := s.checkout(t, sale, key, items{"A": 1}, buyer)
	if first.status != http.StatusCreated {
		t.Fatalf("first.status is %v, want %v: %s", first.status, http.StatusCreated, first.body)
	}
	var o order
	first.into(t, &o)

	t.Run("the same key and body: the same answer", func(t *testing.T) {
		again := s.checkout(t, sale, key, items{"A": 1}, buyer)
		if again.status != http.StatusCreated {
			t.Fatalf("again.status is %v, want %v", again.status, http.StatusCreated)
		}
		sameJSON(t, again.body, first.body)
	})
	t.Run("the same key, another body: refused", func(t *testing.T) {
		other := s.checkout(t, sale, key, items{"A": 2}, buyer)
		if other.status != http.StatusUnprocessableEntity {
			t.Fatalf("other.status is %v, want %v", other.status, http.StatusUnprocessableEntity)
		}
		if got := other.code(t); got != "key_reused" {
			t.Fatalf(`other.code(t) is %q, want "key_reused"`, got)
		}
	})
	t.Run("one key at once: one order", func(t *testing.T) {
		key, buyer := newKey(), newBuyer()
		orders := make([]string, 8)
		var requests sync.WaitGroup
		for i := range orders {
			requests.Go(func() {
				a := s.checkout(t, sale, key, items{"a": 1}, buyer)
				if a.status == http.StatusConflict {
					return // in flight: an answer too
				}
				var o order
				a.into(t, &o)
				orders[i] = o.Order
			})
		}
		requests.Wait()
		s.awaitStock(t, sale, "a", level{Held: 1, Available: 9})
	})
	t.Run("one event, many deliveries: one effect", func(t *testing.T) {
		id, body := "evt_"+uuid.NewString(), event("payment.succeeded", o, nil)
		for range 4 {
			a := s.webhook(t, id, time.Now(), body)
			if a.status != http.StatusOK {
				t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusOK, a.body)
			}
			if !strings.Contains(string(a.body), `"paid"`) {
				t.Fatalf("no %q in %s", `"paid"`, string(a.body))
			}
		}
		if got := s.state(t, o).Tickets; len(got) != 1 {
			t.Fatalf("%d in s.state(t, o).Tickets, want 1: %+v", len(got), got)
		}
	})
	t.Run("a failure after the success changes nothing", func(t *testing.T) {
		if got := s.webhookStatus(t, event("payment.failed", o, nil)); got != "paid" {
			t.Fatalf(`s.webhookStatus(t, event("payment.failed", o, nil)) is %q, want "paid"`, got)
		}
		if got := s.state(t, o).Status; got != "paid" {
			t.Fatalf(`s.state(t, o).Status is %q, want "paid"`, got)
		}
	})
}

// testLastSeat: many want one seat at the same moment.
func testLastSeat(t *testing.T, s *stack) {
	sale := s.sale(t, 1, longHold, 1)
	var mu sync.Mutex
	statuses := map[int]int{}
	var requests sync.WaitGroup
	for range 40 {
		requests.Go(func() {
			a := s.checkout(t, sale, newKey(), items{"A": 1}, newBuyer())
			mu.Lock()
			defer mu.Unlock()
			statuses[a.status]++
		})
	}
	requests.Wait()
	if want := map[int]int{http.StatusCreated: 1, http.StatusConflict: 39}; !reflect.DeepEqual(statuses, want) {
		t.Fatalf("statuses is %v, want %v", statuses, want)
	}
}

// testDemoWithKill: the service dies in the middle of an on-sale, the stack
// starts it again, and every seat is sold once.
func testDemoWithKill(t *testing.T, s *stack) {
	const buyers, seats = 400, 150
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	type outcome struct {
		output string
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		output, err := s.run(ctx, "lab", "demo", "--buyers", fmt.Sprint(buyers), "--seats", fmt.Sprint(seats), "--seed", "1", "--timeout", "4m")
		done <- outcome{output, err}
	}()
	eventually(t, "checkouts are under way", func() bool {
		// Not only open ones: a checkout that is paid at once is never listed as open.
		return s.findWorkflow(t, `WorkflowType = "Checkout" AND Sale STARTS_WITH "demo-"`) != ""
	})
	victim := s.pid("boxoffice")
	if victim == 0 {
		t.Fatal("victim is zero")
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is started again", func() bool {
		pid := s.pid("boxoffice")
		return pid != 0 && pid != victim
	})
	result := <-done
	t.Log(result.output)
	if err := result.err; err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d/%d seats paid", seats, seats); !strings.Contains(result.output, want) {
		t.Fatalf("no %q in %s", want, result.output)
	}
}

// testVerify: after all that, the books balance.
func testVerify(t *testing.T, s *stack) {
	if got := s.mischief(t).WronglyAccepted; got != 0 {
		t.Fatalf("s.mischief(t).WronglyAccepted is %v, want zero: forged and stale webhooks", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	output, err := s.command(ctx, "verify", "--wait", "2s")
	t.Log(output)
	if err != nil {
		t.Fatal(err)
	}
}

// testRestart: sold tickets stay sold, and held ones stay held.
func testRestart(t *testing.T, s *stack, dir, ledger string) {
	sale := s.sale(t, 5, longHold, 5)
	paid, held := s.hold(t, sale, items{"A": 1}), s.hold(t, sale, items{"A": 1})
	s.pay(t, paid, "succeeded")
	before := s.awaitStatus(t, paid, "paid")
	s.stop()

	again := startStack(t, dir, ledger)
	if got := again.state(t, paid); !reflect.DeepEqual(got, before) {
		t.Fatalf("again.state(t, paid) is %+v, want %+v", got, before)
	}
	if got := again.state(t, held).Status; got != "held" {
		t.Fatalf(`again.state(t, held).Status is %q, want "held"`, got)
	}
	again.pay(t, held, "succeeded")
	again.awaitStatus(t, held, "paid")
	again.awaitStock(t, sale, "A", level{Sold: 2, Available: 3})
	testVerify(t, again)
}
