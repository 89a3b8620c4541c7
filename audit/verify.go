package audit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Verifier asks a running box office for its audits: what `boxoffice verify`
// does.
type Verifier struct {
	URL      string        // the public API, which lists the sales
	AdminURL string        // where the audits are
	Token    string        // the admin's bearer token
	Sales    []string      // which sales; empty: all, and what belongs to none
	Wait     time.Duration // how long to wait for what is in flight, or could not be looked at; 0: not at all
	JSON     bool          // print an array of reports instead of text for people
	Client   *http.Client  // nil: one with auditTimeout
}

const (
	// auditTimeout is longer than the box office lets an audit take: its own
	// answer says more.
	auditTimeout = 130 * time.Second
	// reportMaxLen bounds what is read of an answer: a report is far smaller.
	reportMaxLen = 16 << 20
	// waitInterval is how often what is in flight is looked at again.
	waitInterval = time.Second
)

// Verify audits every sale and prints the reports to out. The error says what
// could not be asked, and what to do; whether something is broken is in the
// reports (see AnyBroken).
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
		if err := pause(ctx, waitInterval); err != nil {
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

// OfSale is the path of something of a sale, or of what belongs to none.
func OfSale(sale, what string) string {
	if sale == "" {
		return "/v1/" + what
	}
	return "/v1/sales/" + url.PathEscape(sale) + "/" + what
}

// Subjects are the sales that were asked for, else all that are on offer, and the
// empty id for what belongs to none.
func (v *Verifier) Subjects(ctx context.Context) ([]string, error) {
	if len(v.Sales) > 0 {
		return v.Sales, nil
	}
	var ids []string
	for after := ""; ; {
		var page struct {
			Sales []struct {
				ID string `json:"id"`
			} `json:"sales"`
			Next string `json:"next"`
		}
		path := "/v1/sales"
		if after != "" {
			path += "?after=" + url.QueryEscape(after)
		}
		if err := v.call(ctx, http.MethodGet, v.URL, path, "", nil, &page); err != nil {
			return nil, err
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

// Ask asks the organiser's side of the box office; a body is sent as JSON.
func (v *Verifier) Ask(ctx context.Context, method, path string, body, into any) error {
	return v.call(ctx, method, cmp.Or(v.AdminURL, v.URL), path, v.Token, body, into)
}

func (v *Verifier) call(ctx context.Context, method, base, path, token string, send, into any) error {
	path, query, _ := strings.Cut(path, "?")
	address, err := url.JoinPath(base, path)
	if err != nil {
		return fmt.Errorf("address %q: %w", base, err)
	}
	if query != "" {
		address += "?" + query
	}
	var content []byte
	if send != nil {
		if content, err = json.Marshal(send); err != nil {
			return err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return err
	}
	if send != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := cmp.Or(v.Client, &http.Client{Timeout: auditTimeout}).Do(request)
	if err != nil {
		return fmt.Errorf("the box office does not answer (is it running?): %w", err)
	}
	defer response.Body.Close()
	body := io.LimitReader(response.Body, reportMaxLen)
	if response.StatusCode != http.StatusOK {
		return refusal(method+" "+address, response.StatusCode, body)
	}
	if err := json.NewDecoder(body).Decode(into); err != nil {
		return fmt.Errorf("%s %s: %w", method, address, err)
	}
	return nil
}

// refusal reads a problem (RFC 9457).
func refusal(address string, status int, body io.Reader) error {
	if status == http.StatusUnauthorized {
		return errors.New("the admin token was refused: set BOXOFFICE_ADMIN_TOKEN to that of the running box office")
	}
	var problem struct {
		Code   string `json:"code"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	_ = json.NewDecoder(body).Decode(&problem) // without a problem the status has to do
	return fmt.Errorf("%s: status %d %s %s", address, status, problem.Code, cmp.Or(problem.Detail, problem.Title))
}
