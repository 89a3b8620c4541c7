package report

// A bar is one line of a waterfall, in milliseconds.
type bar struct {
	Name         string
	Level        int // of nesting
	Start, Width float64
}

// The service's routes of a journey.
const (
	routeCheckout = StageHTTP + "/v1/sales/:sale/checkouts"
	routeWebhook  = StageHTTP + "/v1/webhooks/mockpay"
)

// waterfall lays the stages of one paid checkout one after another. Its lengths
// are means, because means add up and quantiles do not. What a stage does not
// say of itself is the rest of the one around it.
func waterfall(r Run) []bar {
	checkout, webhook := r.mean(routeCheckout), r.mean(routeWebhook)
	if checkout == 0 || webhook == 0 {
		return nil
	}
	w := layout{}
	w.outer("POST checkout", checkout, func() {
		desk, start, hold := r.mean("desk"), r.mean("start"), r.mean("hold")
		w.inner("Temporal: start the workflow", start)
		w.inner("worker: first workflow task", desk-start-hold)
		w.outer("hold", hold, func() {
			w.inner("ledger: the buyer's account", r.ledgerTrip("create_accounts"))
			w.inner("ledger: pending transfers", r.ledgerTrip(batchOfInterest))
		})
		w.inner("HTTP, gate, pay link", checkout-desk)
	})
	w.outer("webhook", webhook, func() {
		update, post, perk, record := r.mean("update"), r.mean("post"), r.mean("perk"), r.mean("record")
		w.inner("verify the signature", r.mean("webhook_verify"))
		w.outer("Update", update, func() {
			w.inner("Temporal and worker", update-post-perk-record)
			w.inner("post: sell the seats", post)
			w.inner("perk", perk)
			w.inner("record in Postgres", record)
		})
		w.inner("HTTP", webhook-update-r.mean("webhook_verify"))
	})
	return w.bars
}

func (r Run) mean(stage string) float64 { return r.Stages[stage].Mean }

// ledgerTrip is a request and the wait before it.
func (r Run) ledgerTrip(op string) float64 {
	return r.mean(StageQueue+op) + r.mean(StageRequest+op)
}

type layout struct {
	bars  []bar
	level int
	at    float64
}

// outer is a stage with stages inside; the next one begins at its end.
func (l *layout) outer(name string, width float64, inside func()) {
	start := l.at
	l.bars = append(l.bars, bar{name, l.level, start, max(0, width)})
	l.level++
	inside()
	l.level--
	l.at = start + max(0, width)
}

func (l *layout) inner(name string, width float64) {
	l.bars = append(l.bars, bar{name, l.level, l.at, max(0, width)})
	l.at += max(0, width)
}
