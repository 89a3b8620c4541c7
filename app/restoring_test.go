package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/restore"
)

// restoring answers restore-orders for the sale "conf" with one report after the other, and
// with an empty one for what belongs to no sale.
func restoring(t *testing.T, reports ...restore.Report) (ask *audit.Verifier, applied *[]bool) {
	t.Helper()
	applied = &[]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/sales" {
			_, _ = w.Write([]byte(`{"sales":[{"id":"conf"}]}`))
			return
		}
		var body struct{ Apply bool }
		if r.Method != http.MethodPost || r.Header.Get("Authorization") != "Bearer secret" || json.NewDecoder(r.Body).Decode(&body) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		report := restore.Report{}
		if r.URL.Path == "/v1/sales/conf/restore-orders" {
			*applied = append(*applied, body.Apply)
			report, reports = reports[0], reports[1:]
			report.Applied = body.Apply
		}
		_ = json.NewEncoder(w).Encode(report)
	}))
	t.Cleanup(server.Close)
	return &audit.Verifier{URL: server.URL, Token: "secret"}, applied
}

func counted(counts map[restore.Outcome]int) restore.Report {
	return restore.Report{SaleID: "conf", Counts: counts}
}

func TestRestoreOrdersExits(t *testing.T) {
	for _, tt := range []struct {
		name    string
		apply   bool
		reports []restore.Report
		asked   int
		exit    int
		says    string
	}{
		{"nothing is lost", true, []restore.Report{counted(nil)}, 1, 0, "Sale conf: no record is lost"},
		{"restored", true, []restore.Report{counted(map[restore.Outcome]int{restore.Restored: 2})}, 1, 0, "Sale conf: 2 restored"},
		{"would be", false, []restore.Report{counted(map[restore.Outcome]int{restore.WouldRestore: 2, restore.NotReached: 1})}, 1, 0, "2 would restore, 1 not reached yet"},
		{"in two requests", true, []restore.Report{
			counted(map[restore.Outcome]int{restore.Restored: 2, restore.NotReached: 1}), counted(map[restore.Outcome]int{restore.Restored: 1}),
		}, 2, 0, "Sale conf: 1 restored"},
		{"it makes no progress", true, []restore.Report{counted(map[restore.Outcome]int{restore.NotReached: 3})}, 1, exitBlind, "3 not reached yet"},
		{"one cannot be", true, []restore.Report{counted(map[restore.Outcome]int{restore.Restored: 1, restore.NotRestorable: 1})}, 1, 1, "1 restored, 1 not restorable"},
		{"a part is away", true, []restore.Report{counted(map[restore.Outcome]int{restore.NotKnown: 1})}, 1, exitBlind, "1 could not look"},
		{"a source is away", false, []restore.Report{{SaleID: "conf", Unread: []audit.UnreadSource{{Source: audit.SourceLedger, Why: "no answer"}}}}, 1, exitBlind,
			"could not look at the ledger: no answer"},
		{"in flight is no failure", true, []restore.Report{counted(map[restore.Outcome]int{restore.InFlight: 1})}, 1, 0, "1 in flight"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ask, applied := restoring(t, tt.reports...)
			var out strings.Builder
			reports, err := restoreAll(t.Context(), ask, tt.apply, &out)
			if err != nil {
				t.Fatal(err)
			}
			if len((*applied)) != tt.asked {
				t.Fatalf("%d in *applied, want %d: %v", len((*applied)), tt.asked, *applied)
			}
			if slices.Contains(*applied, !tt.apply) {
				t.Fatalf("%v is in %v", !tt.apply, *applied)
			}
			if got := out.String(); !strings.Contains(got, tt.says) {
				t.Fatalf("no %q in %s", tt.says, got)
			}
			if got := out.String(); !strings.Contains(got, "What belongs to no sale: no record is lost") {
				t.Fatalf("no %q in %s", "What belongs to no sale: no record is lost", got)
			}
			verdict, exit := restoreVerdict(reports), 0
			if verdict != nil {
				exit = exitCode(verdict)
			}
			if exit != tt.exit {
				t.Fatalf("exit is %v, want %v: %v", exit, tt.exit, verdict)
			}
		})
	}
}

func TestRestoredOrdersAreNamed(t *testing.T) {
	id := domain.OrderID{1, 2}
	for text, item := range map[string]restore.Item{
		"restored         order " + id.String() + "  paid, payment pay_1  left empty, nobody knows it any more: email": {
			Order: id, Outcome: restore.Restored, Status: domain.OrderPaid, Payment: "pay_1", Missing: []string{"email"}},
		"would restore    order " + id.String() + "  refunded without tickets: pay_1, pay_2": {
			Order: id, Outcome: restore.WouldRestore, Refunded: []string{"pay_1", "pay_2"}},
		"not restorable   order " + id.String() + "  its sale is lost": {Order: id, Outcome: restore.NotRestorable, Why: "its sale is lost"},
	} {
		if got := itemText(&item); got != text {
			t.Fatalf("itemText(&item) is %q, want %q", got, text)
		}
	}
}
