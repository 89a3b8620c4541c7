package abuse

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"boxoffice/client"
)

// atOnce is how many requests of an attack are under way.
const atOnce = 32

// each runs one attempt after the other, atOnce at a time, until one fails otherwise than by a refusal.
func each(ctx context.Context, n int, try func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, atOnce) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := try(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// refused is nil for a refusal: the attack goes on.
func refused(err error) error {
	var r *client.Refusal
	if errors.As(err, &r) {
		return nil
	}
	return err
}

// holdAll counts how many of n orders are held.
func (d *drill) holdAll(ctx context.Context, sale string, n int, email func(int) string) (held int, err error) {
	var count atomic.Int64
	err = each(ctx, n, func(ctx context.Context, i int) error {
		_, err := d.hold(ctx, sale, email(i))
		if err == nil {
			count.Add(1)
		}
		return refused(err)
	})
	return int(count.Load()), err
}

// promised is empty if at most so many got through.
func promised(got, most int, what string) string {
	if got <= most {
		return ""
	}
	return fmt.Sprintf("%d %s, at most %d were promised", got, what, most)
}

func (d *drill) oneAddress(ctx context.Context) (Finding, error) {
	const tries = 200
	sale, err := d.sale(ctx, "limit", tries, nil)
	if err != nil {
		return Finding{}, err
	}
	held, err := d.holdAll(ctx, sale, tries, func(int) string { return "bot@example.com" })
	return Finding{
		Tried: tries, GotThrough: fmt.Sprintf("%d tickets", held), Bound: fmt.Sprintf("buyer_limit, %d in the ledger", limit),
		Broken: promised(held, int(limit), "tickets"),
	}, err
}

func (d *drill) aliases(ctx context.Context) (Finding, error) {
	const tries = 60
	alias := func(i int) string { return fmt.Sprintf("B.ot+%d@gmail.com", i) }
	open, err := d.sale(ctx, "aliases", tries, nil)
	if err != nil {
		return Finding{}, err
	}
	folded, err := d.sale(ctx, "folded", tries, func(b *client.CreateSaleBody) { yes := true; b.FoldEmailAliases = &yes })
	if err != nil {
		return Finding{}, err
	}
	heldOpen, err := d.holdAll(ctx, open, tries, alias)
	if err != nil {
		return Finding{}, err
	}
	heldFolded, err := d.holdAll(ctx, folded, tries, alias)
	return Finding{
		Tried: 2 * tries, GotThrough: fmt.Sprintf("%d tickets; %d with fold_email_aliases", heldOpen, heldFolded), Bound: "fold_email_aliases",
		Left: "aliases that only the mail server knows", Broken: promised(heldFolded, int(limit), "tickets with fold_email_aliases"),
	}, err
}

// hoard lets bots with ever new addresses hold whatever is free and never pay, while people try to buy.
func (d *drill) hoard(ctx context.Context) (Finding, error) {
	const (
		seats, bots, people = 40, 20, 40
		lasting             = 4 * holdTimeout
	)
	sale, err := d.sale(ctx, "hoard", seats, nil)
	if err != nil {
		return Finding{}, err
	}
	ending, cancel := context.WithTimeout(ctx, lasting)
	defer cancel()
	var taken, bought atomic.Int64
	var group sync.WaitGroup
	for range bots {
		group.Go(func() {
			for ending.Err() == nil {
				if _, err := d.hold(ending, sale, uuid.NewString()+"@bots.example"); err == nil {
					taken.Add(1)
					continue
				}
				_ = pause(ending, againAfter)
			}
		})
	}
	for i := range people {
		group.Go(func() {
			for ending.Err() == nil {
				placed, err := d.hold(ending, sale, fmt.Sprintf("person-%d@example.com", i))
				if err == nil && d.pay(ctx, placed) == nil {
					bought.Add(1)
					return
				}
				_ = pause(ending, againAfter)
			}
		})
	}
	group.Wait()
	return Finding{
		Tried: bots, GotThrough: fmt.Sprintf("%d holds; in %v %d of %d people bought one of %d seats (%s)",
			taken.Load(), lasting, bought.Load(), people, seats, share(int(bought.Load()), seats)),
		Bound:  fmt.Sprintf("hold_seconds, %v here", holdTimeout),
		Left:   "seats stand still for a hold: keep it short, use a waiting room and codes",
		Broken: promised(int(bought.Load()), seats, "people have a seat"),
	}, ctx.Err()
}

// keepOut holds a ticket in the name of a buyer who is known, wherever that buyer may have only one checkout.
func (d *drill) keepOut(ctx context.Context) (Finding, error) {
	const victim, seats, tries = "victim@example.com", 100, 3
	sale, err := d.sale(ctx, "keepout", seats, func(b *client.CreateSaleBody) { yes := true; b.OneCheckoutPerBuyer = &yes })
	if err != nil {
		return Finding{}, err
	}
	var longest time.Duration
	for range tries { // a bot that holds once: the buyer tries until it is let in
		if _, err := d.hold(ctx, sale, victim); err != nil {
			return Finding{}, err
		}
		began := time.Now()
		for {
			placed, err := d.hold(ctx, sale, victim)
			if err == nil {
				longest = max(longest, time.Since(began))
				if _, err := d.api.CancelOrder(ctx, placed.Order, placed.Token); err != nil {
					return Finding{}, err
				}
				break
			}
			if err := errors.Join(refused(err), pause(ctx, againAfter)); err != nil {
				return Finding{}, err
			}
		}
	}
	finding := Finding{
		Tried: tries, GotThrough: fmt.Sprintf("the buyer waited %.0f s at most", longest.Seconds()), Bound: "hold_seconds, rates by address and buyer",
		Left: "again and again by who knows the address: a waiting room makes each try cost a place",
	}
	// The ledger's timeouts have whole seconds, and a hold outlives the deadline until it is voided.
	if most := 2 * holdTimeout; longest > most {
		finding.Broken = fmt.Sprintf("the buyer was kept out for %v by one hold of %v", longest, holdTimeout)
	}
	return finding, nil
}

// manyPlaces joins a queue before its draw with three names for each person's one.
func (d *drill) manyPlaces(ctx context.Context) (Finding, error) {
	const bots, people, first = 300, 100, 100
	const untilOpening = 6 * time.Second
	sale, err := d.sale(ctx, "queue", people, func(b *client.CreateSaleBody) {
		yes, opens := true, time.Now().Add(untilOpening)
		b.WaitingRoom, b.OpensAt = &yes, &opens
	})
	if err != nil {
		return Finding{}, err
	}
	tokens := make([]string, bots+people)
	err = each(ctx, len(tokens), func(ctx context.Context, i int) error {
		joined, err := d.api.JoinQueue(ctx, sale, client.JoinQueueParams{}, &client.JoinBody{})
		tokens[i] = joined.Token
		return err
	})
	if err != nil {
		return Finding{}, fmt.Errorf("join: %w (set BOXOFFICE_HUMAN_CHECK_BITS=0 if clients on this machine are checked)", err)
	}
	var ofBots, ofPeople atomic.Int64
	err = each(ctx, len(tokens), func(ctx context.Context, i int) error {
		for {
			place, err := d.api.GetPlace(ctx, tokens[i])
			if err == nil && place.Status != "draw" {
				if place.Ahead < first {
					if i < bots {
						ofBots.Add(1)
					} else {
						ofPeople.Add(1)
					}
				}
				return nil
			}
			if err := errors.Join(refused(err), pause(ctx, againAfter)); err != nil {
				return err
			}
		}
	})
	all := int(ofBots.Load() + ofPeople.Load())
	return Finding{
		Tried: bots, GotThrough: fmt.Sprintf("%s of the first places, with %s of the names", share(int(ofBots.Load()), all), share(bots, bots+people)),
		Bound: "the draw, a proof of work for each place, joins by address",
		Left:  "as many chances as names: give codes or invitations to people you know",
	}, err
}

func (d *drill) guessCodes(ctx context.Context) (Finding, error) {
	const tries = 300
	sale, err := d.sale(ctx, "codes", 100, func(b *client.CreateSaleBody) {
		yes := true
		b.WaitingRoom, b.Entitlement = &yes, &client.EntitlementRuleBody{PresaleCodes: &yes}
	})
	if err != nil {
		return Finding{}, err
	}
	var joined atomic.Int64
	codes := map[string]int{}
	var mu sync.Mutex
	err = each(ctx, tries, func(ctx context.Context, i int) error {
		code := fmt.Sprintf("AAAA-BBBB-%04d", i)
		body := &client.JoinBody{Entitlement: &client.EntitlementBody{PresaleCode: code}}
		_, err := d.api.JoinQueue(ctx, sale, client.JoinQueueParams{IdempotencyKey: uuid.NewString()}, body)
		if err == nil {
			joined.Add(1)
		}
		mu.Lock()
		codes[client.CodeOf(err)]++
		mu.Unlock()
		return refused(err)
	})
	return Finding{
		Tried: tries, GotThrough: fmt.Sprintf("%d places %v", joined.Load(), codes), Bound: "60 bits or more a code; BOXOFFICE_RATE_WRONG_CODES_PER_ADDRESS, for public addresses",
		Left: "a code that somebody passed on", Broken: promised(int(joined.Load()), 0, "guessed codes were accepted"),
	}, err
}

func (d *drill) guessTokens(ctx context.Context) (Finding, error) {
	const tries = 500
	sale, err := d.sale(ctx, "tokens", 10, nil)
	if err != nil {
		return Finding{}, err
	}
	placed, err := d.hold(ctx, sale, "ann@example.com")
	if err != nil {
		return Finding{}, err
	}
	var seen, told atomic.Int64
	err = each(ctx, tries, func(ctx context.Context, i int) error {
		order := placed.Order
		if i%2 == 1 { // an order that does not exist has the same answer
			order = placed.Order[:len(placed.Order)-4] + fmt.Sprintf("%04x", i)
		}
		_, err := d.api.GetOrder(ctx, order, fmt.Sprintf("%032x", i))
		var r *client.Refusal
		switch {
		case err == nil:
			seen.Add(1)
		case !errors.As(err, &r) || r.HTTPStatus != http.StatusNotFound:
			told.Add(1)
		}
		return refused(err)
	})
	return Finding{
		Tried: tries, GotThrough: fmt.Sprintf("%d orders, %d answers that differ", seen.Load(), told.Load()),
		Bound: "128 bits; a wrong token is answered like a missing order",
		Left:  "whoever has a link has the order", Broken: promised(int(seen.Load()), 0, "orders were seen"),
	}, err
}

func (d *drill) forge(ctx context.Context) (Finding, error) {
	const tries = 500
	sale, err := d.sale(ctx, "forged", 10, nil)
	if err != nil {
		return Finding{}, err
	}
	placed, err := d.hold(ctx, sale, "thief@example.com")
	if err != nil {
		return Finding{}, err
	}
	body := fmt.Appendf(nil, `{"type":"payment.succeeded","data":{"payment_session":%q,"order":%q,"amount":1000,"currency":"EUR"}}`,
		placed.PaymentSession, placed.Order)
	var accepted atomic.Int64
	err = each(ctx, tries, func(ctx context.Context, i int) error {
		header := http.Header{}
		header.Set("Webhook-Id", uuid.NewString())
		header.Set("Webhook-Timestamp", fmt.Sprint(time.Now().Unix()))
		header.Set("Webhook-Signature", "v1,"+fmt.Sprintf("%043x=", i))
		_, err := d.api.DeliverEvent(ctx, "mockpay", header, body)
		if err == nil {
			accepted.Add(1)
		}
		return refused(err)
	})
	if err != nil {
		return Finding{}, err
	}
	order, err := d.api.GetOrder(ctx, placed.Order, placed.Token)
	finding := Finding{
		Tried: tries, GotThrough: fmt.Sprintf("%d accepted, the order is %s", accepted.Load(), order.Status), Bound: "a signature over the raw body",
		Left: "whoever has the webhook secret: verify shows it", Broken: promised(int(accepted.Load()), 0, "forged events were accepted"),
	}
	if order.Status == "paid" {
		finding.Broken = "a forged event made a ticket"
	}
	return finding, err
}
