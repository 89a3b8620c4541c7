package webhooks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/time/rate"

	"boxoffice/domain"
	"boxoffice/failpoint"
	"boxoffice/orders"
	"boxoffice/pace"
	"boxoffice/tracing"
)

// How often an event is tried. schedule has the wait after the first failed attempt, the
// second, and so on: about three days in all. Then the event is given up.
var schedule = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 24 * time.Hour,
}

// attemptsMax is how often an event is tried.
var attemptsMax = len(schedule) + 1

const (
	// An endpoint that fails so often in a row is paused, longer each time, so that the events
	// that wait for it are not tried one by one.
	failuresUntilPause = 4
	pauseMin           = 5 * time.Second
	pauseMax           = 10 * time.Minute
	// An endpoint that accepted nothing for so long is disabled.
	failingMax = 5 * 24 * time.Hour

	// Bounds of a round: how many events, how many at a time, for how long.
	roundMax    = 200
	atATime     = 8
	roundBudget = 45 * time.Second
	// busyPerSecond is how many events this process sends a second, to all endpoints, while buyers wait for the engine.
	busyPerSecond = 20
)

// Why an endpoint is disabled.
const (
	whyGone    = "it answered 410 Gone"
	whyFailing = "it accepted nothing for five days"
)

// Store has the deliveries. orders.Store is one.
type Store interface {
	WebhookEndpoint(ctx context.Context, id string) (domain.WebhookEndpoint, error)
	DueWebhooks(ctx context.Context, endpoint string, limit int) ([]orders.DueWebhook, error)
	RecordWebhook(ctx context.Context, r *orders.WebhookResult) (current bool, err error)
	WebhookWait(ctx context.Context, endpoint string) (time.Duration, bool, error)
	GiveUpLostWebhooks(ctx context.Context, endpoint string) error
}

// Sealer opens and seals secrets. codec.Codec is one.
type Sealer interface {
	Seal(owner string, secret []byte) ([]byte, error)
	Open(owner string, sealed []byte) ([]byte, error)
}

// A Deliverer sends what is due. DeliverWebhooks is the activity of the workflow Delivery.
type Deliverer struct {
	Tracer *tracing.Tracer // nil: tracing is off

	store  Store
	sealer Sealer
	client *http.Client
	told   func(Outcome, time.Duration)
	busy   func() bool
	pace   *rate.Limiter // while it is busy
	log    *slog.Logger
	now    func() time.Time
}

// An Outcome is the result of an attempt, as a metric's label.
type Outcome string

// The outcomes of an attempt.
const (
	OutcomeTaken    Outcome = "taken"
	OutcomeFailed   Outcome = "failed"   // the event will be retried
	OutcomeGivenUp  Outcome = "given_up" // that was the last attempt: the event is given up
	OutcomeDisabled Outcome = "disabled" // the endpoint is disabled
)

// Outcomes lists them.
var Outcomes = []Outcome{OutcomeTaken, OutcomeFailed, OutcomeGivenUp, OutcomeDisabled}

// NewDeliverer makes a Deliverer that sends to public addresses over TLS, and to the
// allowed networks with or without TLS. It calls told after each attempt.
func NewDeliverer(store Store, sealer Sealer, allowed []netip.Prefix, told func(Outcome, time.Duration), busy func() bool, log *slog.Logger) *Deliverer {
	return &Deliverer{
		store: store, sealer: sealer, client: newClient(allowed), told: told, busy: busy, pace: rate.NewLimiter(busyPerSecond, 1), log: log, now: time.Now,
	}
}

// A Round is what DeliverWebhooks did, and what is left.
type Round struct {
	Taken  int    `json:"taken,omitempty"`
	Failed int    `json:"failed,omitempty"`
	Why    string `json:"why,omitempty"` // of a failed attempt, or why there is nothing to do
	// Waits: something is pending and due after Wait.
	Waits bool          `json:"waits,omitempty"`
	Wait  time.Duration `json:"wait,omitempty"`
}

// DeliverWebhooks sends what is due to an endpoint, and says when there is more. It sends
// one event of each order or sale. It may be repeated, because accepted events are stored
// as such.
func (d *Deliverer) DeliverWebhooks(ctx context.Context, endpoint string) (Round, error) {
	e, err := d.store.WebhookEndpoint(ctx, endpoint)
	switch {
	case domain.CodeOf(err) == domain.CodeNotFound && err != nil:
		return Round{Why: "the endpoint no longer exists"}, nil
	case err != nil:
		return Round{}, err
	case !e.DisabledAt.IsZero():
		return Round{Why: "it is disabled: " + e.DisabledWhy}, nil
	}
	wait, waits, err := d.store.WebhookWait(ctx, endpoint)
	if err != nil || !waits || wait > 0 {
		return Round{Waits: waits, Wait: wait}, err
	}
	due, err := d.store.DueWebhooks(ctx, endpoint, roundMax)
	if err != nil {
		return Round{}, err
	}
	if len(due) == 0 {
		if err := d.store.GiveUpLostWebhooks(ctx, endpoint); err != nil {
			return Round{}, err
		}
	}
	r := &round{Deliverer: d, endpoint: &e}
	if r.secrets, err = d.secretsOf(ctx, &e); err != nil {
		return Round{}, err
	}
	if err := r.all(ctx, due); err != nil {
		return r.Round, err
	}
	r.Wait, r.Waits, err = d.store.WebhookWait(ctx, endpoint)
	return r.Round, err
}

// secretsOf returns the secrets that sign. If the previous one cannot be opened, the
// present one signs alone.
func (d *Deliverer) secretsOf(ctx context.Context, e *domain.WebhookEndpoint) ([]string, error) {
	sealed := [][]byte{e.Secret}
	if e.PreviousSigns {
		sealed = append(sealed, e.PreviousSecret)
	}
	var secrets []string
	for i := range sealed {
		secret, err := d.sealer.Open(e.ID, sealed[i])
		if err != nil && i > 0 {
			d.log.WarnContext(ctx, "webhooks: cannot open the previous secret, so the present one signs alone", "endpoint", e.ID, "error", err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("the secret of webhook endpoint %s: %w", e.ID, err)
		}
		secrets = append(secrets, string(secret))
	}
	return secrets, nil
}

// round is one call of DeliverWebhooks.
type round struct {
	*Deliverer
	endpoint *domain.WebhookEndpoint
	secrets  []string

	mu    sync.Mutex // guards what follows and the endpoint's failures
	stop  bool
	ended error
	Round
}

// all sends the events, several at a time, until it is told to stop.
func (r *round) all(ctx context.Context, due []orders.DueWebhook) error {
	until := r.now().Add(roundBudget)
	next := make(chan *orders.DueWebhook)
	var sending sync.WaitGroup
	for range min(atATime, len(due)) {
		sending.Go(func() {
			for one := range next {
				if err := r.one(ctx, one); err != nil {
					r.end(err)
				}
			}
		})
	}
	for i := range due {
		if r.isOver() || ctx.Err() != nil || !r.now().Before(until) {
			break
		}
		if r.busy() && r.pace.Wait(ctx) != nil {
			break
		}
		next <- &due[i]
	}
	close(next)
	sending.Wait()
	return errors.Join(r.ended, ctx.Err())
}

func (r *round) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stop
}

func (r *round) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop, r.ended = true, errors.Join(r.ended, err)
}

// one sends one event and stores the outcome.
func (r *round) one(ctx context.Context, due *orders.DueWebhook) error {
	if r.isOver() {
		return nil
	}
	failpoint.Before("webhooks", "deliver")
	a, err := r.send(ctx, r.endpoint.URL, r.secrets, &due.Event)
	failpoint.After("webhooks", "deliver")
	if err != nil {
		return err
	}
	if ctx.Err() != nil && !a.isTaken() {
		return ctx.Err() // we canceled it ourselves
	}
	result, outcome := r.judge(due, &a)
	r.told(outcome, time.Duration(a.TookMS)*time.Millisecond)
	current, err := r.store.RecordWebhook(context.WithoutCancel(ctx), result)
	if err != nil {
		return err
	}
	if !current { // the next round reads the endpoint anew
		r.end(nil)
	} else if outcome == OutcomeGivenUp || outcome == OutcomeDisabled {
		r.log.WarnContext(ctx, "webhooks: an event is given up",
			"endpoint", r.endpoint.ID, "event", due.Event.ID.String(), "outcome", string(outcome), "why", a.Error)
	}
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, due.Event.ID.String())
	}
	return nil
}

// judge decides what an answer means for the event and for its endpoint.
func (r *round) judge(due *orders.DueWebhook, a *answer) (*orders.WebhookResult, Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	result := &orders.WebhookResult{
		Endpoint: r.endpoint.ID, URL: r.endpoint.URL, Secret: r.endpoint.Secret, Event: due.Event.ID, Attempt: a.WebhookAttempt, State: domain.WebhookPending,
	}
	if a.isTaken() {
		r.Taken++
		r.endpoint.Failures, r.endpoint.FailingSince = 0, time.Time{}
		result.State = domain.WebhookDelivered
		return result, OutcomeTaken
	}
	r.Failed, r.Why = r.Failed+1, a.Error
	r.endpoint.Failures++
	result.Failures = r.endpoint.Failures
	if r.endpoint.FailingSince.IsZero() {
		r.endpoint.FailingSince = a.At
	}
	switch {
	case a.Status == http.StatusGone:
		result.Disable = whyGone
	case a.At.Sub(r.endpoint.FailingSince) >= failingMax:
		result.Disable = whyFailing
	}
	if result.Disable != "" {
		r.stop, result.State = true, domain.WebhookGivenUp
		return result, OutcomeDisabled
	}
	result.PauseFor = pauseAfter(r.endpoint.Failures)
	if a.retryAfter > 0 && (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable) {
		result.PauseFor = max(result.PauseFor, a.retryAfter)
	}
	r.stop = r.stop || result.PauseFor > 0
	if due.Attempts+1 >= attemptsMax {
		result.State = domain.WebhookGivenUp
		return result, OutcomeGivenUp
	}
	result.RetryIn = max(pace.Spread(schedule[due.Attempts]), a.retryAfter)
	return result, OutcomeFailed
}

// pauseAfter is how long an endpoint is paused after so many failures in a row.
func pauseAfter(failures int) time.Duration {
	if failures < failuresUntilPause {
		return 0
	}
	return pace.Spread(pace.Backoff(pauseMin, pauseMax, failures-failuresUntilPause+1))
}
