package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/serviceerror"

	"boxoffice/client"
)

// A buyer is erased: nothing of the address is in any table, of Temporal's histories or of the
// mails' files, and tickets, stock and books are as before.
func testErasure(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	email := "erase-" + newBuyer()
	place := func(want items) (o order) {
		t.Helper()
		a := s.checkout(t, sale, newKey(), want, email)
		if a.status != http.StatusCreated {
			t.Fatalf("a.status is %v, want %v: %s", a.status, http.StatusCreated, a.body)
		}
		a.into(t, &o)
		return o
	}
	paid, given := place(items{"A": 2}), place(items{"a": 1})
	s.pay(t, paid, "succeeded")
	s.awaitStatus(t, paid, "paid")
	s.awaitMail(t, email, "Your 2 tickets: End to end")
	if got := s.tablesWith(t, email); len(got) == 0 {
		t.Fatal("s.tablesWith(t, email) is empty")
	}

	erase := func(body string) answer {
		t.Helper()
		return s.request(t, http.MethodPost, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/erasures", s.admin(), body)
	}
	byAddress := fmt.Sprintf(`{"email":"  %s "}`, strings.ToUpper(email))
	open := erase(byAddress)
	if open.status != http.StatusConflict {
		t.Fatalf("open.status is %v, want %v: %s", open.status, http.StatusConflict, open.body)
	}
	if got := open.code(t); got != "not_settled" {
		t.Fatalf(`open.code(t) is %q, want "not_settled"`, got)
	}
	if !strings.Contains(string(open.body), given.Order) {
		t.Fatalf("no %q in %s", given.Order, string(open.body))
	}
	if strings.Contains(string(open.body), paid.Order) {
		t.Fatalf("%q is in %s", paid.Order, string(open.body))
	}
	_, err := s.boxOffice().CancelOrder(t.Context(), given.Order, given.Token)
	if err != nil {
		t.Fatal(err)
	}
	s.awaitClosed(t, "checkout/"+given.Order)
	s.awaitClosed(t, "checkout/"+paid.Order)
	before := s.state(t, paid)
	if kept := s.exported(t, email); kept[paid.Order].Email != email || len(kept[paid.Order].Tickets) != 2 || kept[given.Order].Checkout.Email != email {
		t.Fatalf("exported is %+v, want both orders with the address", kept)
	}

	erased := erase(byAddress)
	if erased.status != http.StatusOK {
		t.Fatalf("erased.status is %v, want %v: %s", erased.status, http.StatusOK, erased.body)
	}
	sameJSON(t, []byte(withoutSchema(t, erased)), fmt.Appendf(nil, `{"orders":[%q],"unsold":[%q]}`, paid.Order, given.Order))
	if got := s.tablesWith(t, email); len(got) != 0 {
		t.Fatalf("s.tablesWith(t, email) is %q, want nothing", got)
	}
	if got := s.mails(t, email); len(got) != 0 {
		t.Fatalf("s.mails(t, email) is %v, want nothing", got)
	}
	for _, o := range []order{paid, given} {
		eventually(t, "Temporal forgets "+o.Order, func() bool {
			_, err := s.temporal.DescribeWorkflowExecution(t.Context(), "checkout/"+o.Order, "")
			var gone *serviceerror.NotFound
			return errors.As(err, &gone)
		})
	}
	kept := s.exported(t, email)
	if kept[paid.Order].Email != "" || kept[paid.Order].Buyer == "" || kept[paid.Order].ErasedAt == "" {
		t.Fatalf("exported is %+v, want the sold order, erased, with its pseudonym", kept)
	}
	if nothing := (exportedOrder{Order: given.Order, Tickets: kept[given.Order].Tickets}); !reflect.DeepEqual(kept[given.Order], nothing) || len(nothing.Tickets) > 0 {
		t.Fatalf("exported is %+v, want nothing of the checkout without a sale but its id", kept)
	}
	acts, err := s.boxOffice().ListActs(t.Context(), client.ListActsParams{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	var statuses []int64 // newest first
	for _, act := range acts.Acts {
		if act.Act == "erase-buyer" && act.Status != nil {
			statuses = append(statuses, *act.Status)
		}
	}
	if len(statuses) < 2 || statuses[0] != http.StatusOK || statuses[1] != http.StatusConflict {
		t.Fatalf("the record of acts has erasures with %v, want 200 and before it 409: %+v", statuses, acts)
	}
	if got := s.state(t, paid); !reflect.DeepEqual(got, before) {
		t.Fatalf("s.state(t, paid) is %+v, want %+v: the tickets are as good as before", got, before)
	}
	s.awaitStock(t, sale, "A", level{Sold: 2, Available: 8})
	for _, body := range []string{byAddress, fmt.Sprintf(`{"orders":[%q,%q]}`, given.Order, paid.Order)} {
		again := erase(body)
		if again.status != http.StatusOK {
			t.Fatalf("again.status is %v, want %v: %s", again.status, http.StatusOK, again.body)
		}
		if string(again.body) != string(erased.body) {
			t.Fatalf("string(again.body) is %q, want %q", string(again.body), string(erased.body))
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	output, err := s.command(ctx, "verify", "--wait", "2s", sale)
	if err != nil {
		t.Fatalf("%s: %v", output, err)
	}
}

type exportedOrder struct {
	Order, Email, Buyer string
	ErasedAt            string `json:"erased_at"`
	Tickets             []any
	Checkout            struct{ Email string }
}

// exported is what the command exports of a buyer, by order.
func (s *stack) exported(t *testing.T, email string) map[string]exportedOrder {
	t.Helper()
	file := filepath.Join(t.TempDir(), "export.json")
	if output, err := s.runWith(t.Context(), email+"\n", "boxoffice", "export-buyer", "-out", file); err != nil {
		t.Fatalf("%s: %v", output, err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Orders []exportedOrder }
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	kept := make(map[string]exportedOrder, len(document.Orders))
	for _, o := range document.Orders {
		kept[o.Order] = o
	}
	return kept
}

func withoutSchema(t *testing.T, a answer) string {
	t.Helper()
	var view struct{ Orders, Unsold []string }
	a.into(t, &view)
	return fmt.Sprintf(`{"orders":["%s"],"unsold":["%s"]}`, strings.Join(view.Orders, `","`), strings.Join(view.Unsold, `","`))
}

// tablesWith names the tables of the orders database in which a text stands anywhere.
func (s *stack) tablesWith(t *testing.T, text string) (found []string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `SELECT table_name::text FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) == 0 {
		t.Fatal("tables is empty")
	}
	for _, table := range tables {
		var there bool
		query := fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s row WHERE strpos(lower(row::text), lower($1)) > 0)`, pgx.Identifier{table}.Sanitize())
		if err := conn.QueryRow(t.Context(), query, text).Scan(&there); err != nil {
			t.Fatal(err)
		}
		if there {
			found = append(found, table)
		}
	}
	return found
}
