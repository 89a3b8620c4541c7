package crowd

import (
	"sync"
	"sync/atomic"
	"time"

	"boxoffice/lab/bench/load"
)

// secondsMax bounds the timeline; later answers count in its last second.
const secondsMax = 600

// codesMax bounds how many error codes are counted separately.
const (
	codesMax = 64
	codeRest = "other"
)

// Result is what became of a crowd. Times are in seconds since the first buyer
// was due.
type Result struct {
	Buyers int64 `json:"buyers"`
	// The final answers.
	Paid    int64 `json:"paid"`
	SoldOut int64 `json:"sold_out"` // for good
	AllHeld int64 `json:"all_held"` // all tickets were held by others, and the buyer's patience was over
	// Failed got a final answer that nobody should get; Errors says which.
	Failed     int64 `json:"failed"`
	Unanswered int64 `json:"unanswered"` // none until the deadline
	// OneAnswer is how many buyers got exactly one.
	OneAnswer int64 `json:"exactly_one_answer"`
	// Orders is how many different ones were paid.
	Orders int64 `json:"distinct_orders_paid"`

	Errors  map[string]int64  `json:"errors,omitempty"`
	Samples map[string]string `json:"error_samples,omitempty"`

	AnsweredSeconds float64 `json:"answered_seconds"` // the last checkout's final answer
	SettledSeconds  float64 `json:"settled_seconds"`  // the last payment's

	Requests int64 `json:"requests"` // of checkouts
	Retries  int64 `json:"retries"`  // of those, the ones after a buyer's first
	Busy     int64 `json:"busy"`     // were answered 503, or 429 rate_limited
	InFlight int64 `json:"in_flight"`
	Lost     int64 `json:"lost"` // got no answer: a broken connection or a timeout

	// Refusals are the answers "sold out", final or not. Their rate is from the
	// first to the last of them.
	Refusals            int64        `json:"refusals"`
	FirstRefusalSeconds float64      `json:"first_refusal_seconds"`
	RefusalsPerSecond   float64      `json:"refusals_per_second"`
	Refusal             load.Latency `json:"refusal"`     // from when it was sent
	RefusalDue          load.Latency `json:"refusal_due"` // from when it was due

	BusyAnswer     load.Latency `json:"busy_answer"`
	Hold           load.Latency `json:"hold"`
	Webhook        load.Latency `json:"webhook"` // one that settled its order, from when it was sent
	Settle         load.Latency `json:"settle"`  // from the hold's answer until the order was paid, retries included
	WebhookRetries int64        `json:"webhook_retries"`

	Timeline []Second `json:"timeline"`

	Queue *QueueResult `json:"queue,omitempty"` // nil: the sale has no waiting room
}

// A Second counts the answers of one second.
type Second struct {
	Refused int64 `json:"refused"`
	Busy    int64 `json:"busy"`
	Held    int64 `json:"held"`
	Paid    int64 `json:"paid"`
}

// Progress counts buyers.
type Progress struct{ Answered, Held, Paid, Busy atomic.Int64 }

type recorder struct {
	started time.Time

	requests, retries, inFlight, lost, webhookRetries atomic.Int64

	refusal, refusalDue, busy, hold, webhook, settle *load.Times

	mu                               sync.Mutex
	timeline                         []Second
	firstRefusal, lastRefusal        time.Duration
	refusals, busyCount              int64
	answered, settled                time.Duration
	paid, soldOut, allHeld, failures int64
	errors                           map[string]int64
	samples                          map[string]string
	orders                           map[string]struct{}
}

func newRecorder(started time.Time) *recorder {
	return &recorder{
		started: started, refusal: load.NewTimes(), refusalDue: load.NewTimes(), busy: load.NewTimes(), hold: load.NewTimes(),
		webhook: load.NewTimes(), settle: load.NewTimes(),
		errors: map[string]int64{}, samples: map[string]string{}, orders: map[string]struct{}{},
	}
}

// at is the second of the timeline; the caller has mu.
func (r *recorder) at(now time.Duration) *Second {
	n := min(int(now/time.Second), secondsMax-1)
	for len(r.timeline) <= n {
		r.timeline = append(r.timeline, Second{})
	}
	return &r.timeline[n]
}

func (r *recorder) refused(now, sent, due time.Duration) {
	r.refusal.Observe(now - sent)
	r.refusalDue.Observe(now - due)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusals == 0 || now < r.firstRefusal {
		r.firstRefusal = now
	}
	r.lastRefusal = max(r.lastRefusal, now)
	r.refusals++
	r.at(now).Refused++
}

func (r *recorder) wasBusy(now, sent time.Duration) {
	r.busy.Observe(now - sent)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busyCount++
	r.at(now).Busy++
}

// busyRead is an extra read that was not answered as it should be.
func (r *recorder) busyRead(now, sent time.Duration) { r.wasBusy(now, sent) }

func (r *recorder) held(now, sent time.Duration) {
	r.hold.Observe(now - sent)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = max(r.answered, now)
	r.at(now).Held++
}

func (r *recorder) wasPaid(order string, now, held time.Duration) {
	r.settle.Observe(now - held)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settled = max(r.settled, now)
	r.paid++
	r.orders[order] = struct{}{}
	r.at(now).Paid++
}

// turnedAway is a final no.
func (r *recorder) turnedAway(now time.Duration, forGood bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = max(r.answered, now)
	if forGood {
		r.soldOut++
	} else {
		r.allHeld++
	}
}

func (r *recorder) failed(now time.Duration, code, sample string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answered = max(r.answered, now)
	r.failures++
	if _, known := r.errors[code]; !known && len(r.errors) >= codesMax {
		code = codeRest
	}
	r.errors[code]++
	if _, known := r.samples[code]; !known {
		r.samples[code] = sample
	}
}

// result uses the buyers' own counts of answers, which nothing else wrote.
func (r *recorder) result(finals []uint8) Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := Result{
		Buyers: int64(len(finals)), Paid: r.paid, SoldOut: r.soldOut, AllHeld: r.allHeld, Failed: r.failures, Orders: int64(len(r.orders)),
		Errors: r.errors, Samples: r.samples, AnsweredSeconds: r.answered.Seconds(), SettledSeconds: r.settled.Seconds(),
		Requests: r.requests.Load(), Retries: r.retries.Load(), Busy: r.busyCount, InFlight: r.inFlight.Load(), Lost: r.lost.Load(),
		Refusals: r.refusals, FirstRefusalSeconds: r.firstRefusal.Seconds(), Refusal: r.refusal.Latency(), RefusalDue: r.refusalDue.Latency(),
		BusyAnswer: r.busy.Latency(), Hold: r.hold.Latency(), Webhook: r.webhook.Latency(), Settle: r.settle.Latency(),
		WebhookRetries: r.webhookRetries.Load(), Timeline: r.timeline,
	}
	if seconds := (r.lastRefusal - r.firstRefusal).Seconds(); seconds > 0 {
		result.RefusalsPerSecond = float64(r.refusals) / seconds
	}
	for _, n := range finals {
		switch n {
		case 0:
			result.Unanswered++
		case 1:
			result.OneAnswer++
		}
	}
	return result
}
