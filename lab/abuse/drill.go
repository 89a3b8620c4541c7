package abuse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"boxoffice/client"
	"boxoffice/lab/mockpayclient"
	"boxoffice/payments/mockpay"
)

// Options of a drill.
type Options struct {
	BoxOfficeURL, AdminURL, AdminToken, MockPayURL string

	Timeout time.Duration // of the whole drill
	Out     io.Writer     // progress and the table
}

// A Finding is what became of one kind of attack.
type Finding struct {
	Attack     string
	Tried      int    // requests, or bots
	GotThrough string // what they achieved
	Bound      string // what bounded them
	Left       string // what is left to them, and what to set against it
	Broken     string // a promise that did not hold; empty: all did
}

// Result is what the drill found, and the sales that it made, for an audit.
type Result struct {
	Findings []Finding
	Sales    []string
}

// Broken joins the promises that did not hold; nil: all did.
func (r Result) Broken() error {
	var broken []error
	for _, f := range r.Findings {
		if f.Broken != "" {
			broken = append(broken, fmt.Errorf("%s: %s", f.Attack, f.Broken))
		}
	}
	return errors.Join(broken...)
}

// Run sends one kind of bot after the other. It returns an error if it could not, such as
// without a running box office.
func Run(ctx context.Context, o Options) (Result, error) {
	if o.AdminToken == "" {
		return Result{}, errors.New("BOXOFFICE_ADMIN_TOKEN is not set: `set -a; . .data/dev.env` points every tool at the running stack")
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	d := newDrill(o)
	for _, attack := range []struct {
		name string
		run  func(context.Context) (Finding, error)
	}{
		{"more than the limit, with one address", d.oneAddress},
		{"more than the limit, with aliases of one mailbox", d.aliases},
		{"hold everything, pay nothing", d.hoard},
		{"keep one buyer out", d.keepOut},
		{"many places in a queue", d.manyPlaces},
		{"guess presale codes", d.guessCodes},
		{"guess an order's token", d.guessTokens},
		{"forge the provider's webhooks", d.forge},
	} {
		fmt.Fprintf(o.Out, "%s …\n", attack.name)
		finding, err := attack.run(ctx)
		if err != nil {
			return d.result, fmt.Errorf("%s: %w (is the stack running? `make run`)", attack.name, err)
		}
		finding.Attack = attack.name
		d.result.Findings = append(d.result.Findings, finding)
	}
	return d.result, nil
}

// Print writes the findings, a paragraph each.
func (r Result) Print(out io.Writer) {
	for _, f := range r.Findings {
		fmt.Fprintf(out, "\n%s\n  tried       %d\n  got         %s\n  bounded by  %s\n  left        %s\n",
			f.Attack, f.Tried, f.GotThrough, f.Bound, cmp.Or(f.Left, "nothing that we know"))
		if f.Broken != "" {
			fmt.Fprintf(out, "  BROKEN      %s\n", f.Broken)
		}
	}
}

type drill struct {
	Options
	api     *client.Client
	mockpay *mockpayclient.MockPay
	started time.Time
	result  Result
}

// connectionsMax is far above what the attacks have under way.
const connectionsMax = 256

func newDrill(o Options) *drill {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = connectionsMax
	c := &http.Client{Timeout: 30 * time.Second, Transport: transport}
	return &drill{
		Options: o, started: time.Now(),
		api:     &client.Client{URL: o.BoxOfficeURL, AdminURL: o.AdminURL, AdminToken: o.AdminToken, HTTP: c},
		mockpay: mockpayclient.New(o.MockPayURL, c),
	}
}

const (
	class       = "A"
	limit       = int64(2)
	holdTimeout = 10 * time.Second
)

// sale opens a sale of its own for an attack.
func (d *drill) sale(ctx context.Context, name string, capacity int64, change func(*client.CreateSaleBody)) (string, error) {
	holdSeconds, most := int64(holdTimeout.Seconds()), limit
	body := client.CreateSaleBody{
		ID: fmt.Sprintf("abuse-%s-%s", name, d.started.UTC().Format("20060102-150405")), Name: "Abuse drill", Currency: "EUR",
		Classes: []client.CreateClassBody{{Class: class, Price: 1000, Capacity: capacity}}, HoldSeconds: &holdSeconds, BuyerLimit: &most,
	}
	if change != nil {
		change(&body)
	}
	_, err := d.api.CreateSale(ctx, &body)
	d.result.Sales = append(d.result.Sales, body.ID)
	return body.ID, err
}

// hold places an order of one ticket. An answer that says nothing is asked for again.
func (d *drill) hold(ctx context.Context, sale, email string) (client.CheckoutView, error) {
	key := uuid.NewString()
	for {
		placed, err := d.api.CreateCheckout(ctx, sale, client.CreateCheckoutParams{IdempotencyKey: key}, &client.CheckoutBody{
			Items: []client.CheckoutItem{{Class: class, Quantity: 1}}, Buyer: client.CheckoutBuyer{Email: email},
		})
		if client.IsDefinite(err) || ctx.Err() != nil {
			return placed, err
		}
		if err := pause(ctx, againAfter); err != nil {
			return placed, err
		}
	}
}

// pay pays like a person in a browser.
func (d *drill) pay(ctx context.Context, placed client.CheckoutView) error {
	if err := d.mockpay.Visit(ctx, placed.PaymentURL); err != nil {
		return err
	}
	_, err := d.mockpay.Pay(ctx, placed.PaymentSession, "", mockpay.OutcomeSucceeded)
	return err
}

const againAfter = 250 * time.Millisecond

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// share writes a part of a whole in percent.
func share(part, whole int) string {
	if whole == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%d %%", part*100/whole)
}
