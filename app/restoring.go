package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"boxoffice/audit"
	"boxoffice/restore"
)

// restoreOrders asks the running box office to restore what its orders database lost.
func restoreOrders(ctx context.Context, args []string) error {
	flags := newFlags("restore-orders")
	apply := flags.Bool("apply", false, "write the records; without it, only say which ones can be restored")
	asJSON := flags.Bool("json", false, "print the reports as one JSON array")
	flags.Usage = func() {
		fmt.Fprintln(
			flags.Output(),
			"usage: boxoffice restore-orders [flags] [sale …]\nexit: 0 all that is lost is, or can be, restored; 1 something cannot be; 3 could not look at everything",
		)
		flags.PrintDefaults()
	}
	if err := parseWithArguments(flags, args); err != nil {
		return err
	}
	c, err := organiserConfig()
	if err != nil {
		return err
	}
	ask := &audit.Verifier{URL: c.URL, AdminURL: c.AdminURL, Token: string(c.AdminToken), Sales: flags.Args()}
	progress := io.Writer(os.Stdout)
	if *asJSON {
		progress = io.Discard
	}
	reports, err := restoreAll(ctx, ask, *apply, progress)
	if err != nil {
		return blindError{err}
	}
	if *asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(reports); err != nil {
			return err
		}
	}
	return restoreVerdict(reports)
}

// restoreAll goes sale by sale, asks for each as often as needed, and prints the results
// as they come.
func restoreAll(ctx context.Context, ask *audit.Verifier, apply bool, progress io.Writer) ([]restore.Report, error) {
	sales, err := ask.Subjects(ctx)
	if err != nil {
		return nil, err
	}
	reports := []restore.Report{}
	for _, sale := range sales {
		for {
			var r restore.Report
			if err := ask.Ask(ctx, http.MethodPost, audit.OfSale(sale, "restore-orders"), map[string]bool{"apply": apply}, &r); err != nil {
				return nil, err
			}
			writeRestored(progress, &r)
			again := apply && r.More() && r.Counts[restore.Restored] > 0
			if again {
				delete(r.Counts, restore.NotReached) // the next report has them
			}
			if reports = append(reports, r); !again {
				break
			}
		}
	}
	return reports, nil
}

func writeRestored(w io.Writer, r *restore.Report) {
	subject := "What belongs to no sale"
	if r.SaleID != "" {
		subject = "Sale " + r.SaleID
	}
	fmt.Fprintf(w, "%s: %s\n", subject, countsText(r))
	for _, u := range r.Unread {
		fmt.Fprintf(w, "  could not look at %s: %s\n", u.Source, u.Why)
	}
	for _, c := range r.Capacities {
		fmt.Fprintf(w, "  %-15s  class %s: capacity %d on record, %d in the ledger  %s\n", words(c.Outcome), c.Class, c.Recorded, c.Booked, c.Why)
	}
	slices.SortFunc(r.Items, func(a, b restore.Item) int { return slices.Compare(a.Order[:], b.Order[:]) })
	for i := range r.Items {
		fmt.Fprintf(w, "  %s\n", itemText(&r.Items[i]))
	}
}

func countsText(r *restore.Report) string {
	var parts []string
	for _, outcome := range []restore.Outcome{
		restore.Restored, restore.WouldRestore, restore.InFlight, restore.NotRestorable, restore.NotKnown, restore.NotReached,
	} {
		if n := r.Counts[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, words(outcome)))
		}
	}
	switch {
	case len(parts) > 0:
		return strings.Join(parts, ", ")
	case len(r.Unread) > 0:
		return "not known"
	default:
		return "no record is lost"
	}
}

func words(outcome restore.Outcome) string { return strings.ReplaceAll(string(outcome), "_", " ") }

func itemText(item *restore.Item) string {
	text := fmt.Sprintf("%-15s  order %s", words(item.Outcome), item.Order)
	if item.Payment != "" {
		text += fmt.Sprintf("  %s, payment %s", cmp.Or(string(item.Status), "sold"), item.Payment)
	}
	if len(item.Refunded) > 0 {
		text += "  refunded without tickets: " + strings.Join(item.Refunded, ", ")
	}
	if len(item.Missing) > 0 {
		text += "  left empty, nobody knows it any more: " + strings.Join(item.Missing, ", ")
	}
	if item.Why != "" {
		text += "  " + item.Why
	}
	return text
}

// restoreVerdict is the exit code.
func restoreVerdict(reports []restore.Report) error {
	counts, unread := make(map[restore.Outcome]int), 0
	for _, r := range reports {
		for outcome, n := range r.Counts {
			if outcome != restore.NotReached || r.Applied {
				counts[outcome] += n
			}
		}
		unread += len(r.Unread)
		for _, c := range r.Capacities {
			counts[c.Outcome]++
		}
	}
	switch {
	case counts[restore.NotRestorable] > 0:
		return fmt.Errorf("%d orders cannot be restored: see above why", counts[restore.NotRestorable])
	case unread+counts[restore.NotKnown]+counts[restore.NotReached] > 0:
		return blindError{errors.New("could not look at everything: run it again")}
	}
	return nil
}
