package crowd

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of a Plan, and what its zero values mean.
const (
	BuyersMax      = 1_000_000
	ConnectionsMax = 16_384
	SpreadMax      = 10 * time.Minute
	PatienceMax    = time.Hour

	requestTimeoutDefault = 30 * time.Second
	// payersDefault is how many webhooks a provider has out at a time.
	payersDefault = 64
)

// A Plan says how buyers come to a sale that is on offer.
type Plan struct {
	URL   string // of the box office's public API, http only
	Sale  string
	Class string // of which everybody wants one ticket

	Buyers int
	// Spread is the time within which all of them arrive at random, the first at once.
	Spread time.Duration
	Seed   uint64 // of arrivals and of the jitter of retries
	// Patience is for how long after its arrival a buyer who was told that all
	// tickets are held, but that some may come back, asks again, each time with a
	// new key as that answer says. 0: "all held" is taken for a no, like most
	// people take it.
	Patience time.Duration
	// Connections is how many are open, for however many buyers. A request that
	// is due while all are taken waits, and its wait is part of the latency from
	// when it was due.
	Connections int
	// Timeout bounds one request. 0: 30 s.
	Timeout time.Duration
	// Deadline bounds everything: a buyer without a final answer by then gets none.
	Deadline time.Duration

	// Pay lets the provider report a payment. nil: the order is paid. A *PayLater is retried,
	// anything else is final.
	Pay func(ctx context.Context, h Held) error
	// Payers bounds how many payments are in flight. 0: 64.
	Payers int

	// Queue: the sale has a waiting room. nil: it has none.
	Queue *Queue

	Progress *Progress // may be read meanwhile; may be nil

	dial dialFunc // nil: TCP
}

// Held is what the answer to a checkout says.
type Held struct {
	Order    string `json:"order"`
	Token    string `json:"token"`
	Status   string `json:"status"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// PayLater is why a payment is not settled yet: its webhook is sent again.
type PayLater struct{ Err error }

func (e *PayLater) Error() string { return "not settled yet: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *PayLater) Unwrap() error { return e.Err }

// Validate says what of a plan cannot be.
func (p Plan) Validate() error {
	switch {
	case p.Buyers < 1 || p.Buyers > BuyersMax:
		return fmt.Errorf("%d buyers: want 1–%d", p.Buyers, BuyersMax)
	case p.Connections < 1 || p.Connections > ConnectionsMax:
		return fmt.Errorf("%d connections: want 1–%d", p.Connections, ConnectionsMax)
	case p.Spread < 0 || p.Spread > SpreadMax:
		return fmt.Errorf("buyers who arrive within %v: want 0–%v", p.Spread, SpreadMax)
	case p.Patience < 0 || p.Patience > PatienceMax:
		return fmt.Errorf("a patience of %v: want 0–%v", p.Patience, PatienceMax)
	case p.Deadline <= 0 || p.Payers < 0 || p.Timeout < 0:
		return errors.New("the crowd needs a deadline, and no negative numbers")
	case p.Pay == nil || p.Sale == "" || p.Class == "":
		return errors.New("the crowd needs a sale, a class and a way to pay")
	}
	if p.Queue != nil {
		if err := p.Queue.validate(p.Buyers); err != nil {
			return err
		}
	}
	_, err := parseTarget(p.URL)
	return err
}
