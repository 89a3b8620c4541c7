package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"boxoffice/client"
	"boxoffice/pace"
)

// A Verifier asks a running box office for its audits, as `boxoffice verify` does.
type Verifier struct {
	URL      string        // the public API, to list the sales
	AdminURL string        // where the audits are
	Token    string        // the admin's bearer token
	Sales    []string      // which sales; empty: all, and what belongs to none
	Wait     time.Duration // how long to wait for what is in flight, or could not be looked at; 0: don't wait
	JSON     bool          // print an array of reports instead of text for people
	Client   *http.Client  // nil: one with auditTimeout
}

const (
	// auditTimeout is longer than the box office lets an audit take, because its own
	// answer says more.
	auditTimeout = 130 * time.Second
	// waitInterval is how often to look again at what is in flight.
	waitInterval = time.Second
)

// Verify audits every sale and prints the reports to out. The error says what could not
// be asked, and what to do. The reports say whether something is broken (see AnyBroken).
func (v *Verifier) Verify(ctx context.Context, out io.Writer) ([]Report, error) {
	reports, err := v.await(ctx)
	if err != nil {
		return nil, err
	}
	if v.JSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return reports, encoder.Encode(reports)
	}
	for i := range reports {
		if err := reports[i].WriteText(out); err != nil {
			return nil, err
		}
	}
	return reports, nil
}

// AnyBroken reports whether any invariant of any sale is broken.
func AnyBroken(reports []Report) bool {
	return slices.ContainsFunc(reports, func(r Report) bool { return r.Broken() })
}

// AnyUnread reports whether any audit could not look at everything.
func AnyUnread(reports []Report) bool {
	return slices.ContainsFunc(reports, func(r Report) bool { return !r.Complete() })
}

// await asks until nothing is in flight or the time is up.
func (v *Verifier) await(ctx context.Context) ([]Report, error) {
	deadline := time.Now().Add(v.Wait)
	for {
		reports, err := v.audits(ctx)
		settled := !slices.ContainsFunc(reports, func(r Report) bool { return r.InFlight() || !r.Complete() })
		if err != nil || settled || time.Now().Add(waitInterval).After(deadline) {
			return reports, err
		}
		if err := pace.Pause(ctx, waitInterval); err != nil {
			return nil, err
		}
	}
}

func (v *Verifier) audits(ctx context.Context) ([]Report, error) {
	sales, err := v.Subjects(ctx)
	if err != nil {
		return nil, err
	}
	var reports []Report
	for _, sale := range sales {
		path := OfSale(sale, "audit")
		var r Report
		if err := v.Ask(ctx, http.MethodGet, path, nil, &r); err != nil {
			return nil, err
		}
		if r.SaleID != sale || len(r.Results) == 0 {
			return nil, fmt.Errorf("GET %s came back empty: is %s a box office of this release?", path, v.AdminURL)
		}
		reports = append(reports, r)
	}
	return reports, nil
}

// OfSale is the path of a sale's resource, or of the same resource for what belongs to no
// sale.
func OfSale(sale, what string) string {
	if sale == "" {
		return "/v1/" + what
	}
	return "/v1/sales/" + url.PathEscape(sale) + "/" + what
}

// Subjects are the requested sales, or all on offer plus the empty id for what belongs to
// no sale.
func (v *Verifier) Subjects(ctx context.Context) ([]string, error) {
	if len(v.Sales) > 0 {
		return v.Sales, nil
	}
	var ids []string
	for after := ""; ; {
		page, err := v.boxOffice().ListSales(ctx, client.ListSalesParams{After: after})
		if err != nil {
			return nil, v.advised(err)
		}
		for _, sale := range page.Sales {
			ids = append(ids, sale.ID)
		}
		if page.Next == "" || page.Next == after {
			return append(ids, ""), nil
		}
		after = page.Next
	}
}

// Ask calls one of the organiser's routes; a body is sent as JSON. It reads the answer
// into the caller's type, because reports know how to print themselves.
func (v *Verifier) Ask(ctx context.Context, method, path string, body, into any) error {
	return v.advised(v.boxOffice().Do(ctx, client.Request{Method: method, Path: path, Body: body, IsOrganisers: true}, into))
}

func (v *Verifier) boxOffice() *client.Client {
	return &client.Client{
		URL: v.URL, AdminURL: v.AdminURL, AdminToken: v.Token, HTTP: cmp.Or(v.Client, &http.Client{Timeout: auditTimeout}),
	}
}

// advised adds to an error what to do about it.
func (v *Verifier) advised(err error) error {
	var refused *client.Refusal
	var unsent *url.Error
	switch {
	case errors.As(err, &refused) && refused.HTTPStatus == http.StatusUnauthorized:
		return errors.New("the admin token was refused: set BOXOFFICE_ADMIN_TOKEN to that of the running box office")
	case errors.As(err, &unsent):
		return fmt.Errorf("the box office does not answer (is it running?): %w", err)
	case err != nil:
		return fmt.Errorf("the box office at %s: %w", cmp.Or(v.AdminURL, v.URL), err)
	}
	return nil
}
