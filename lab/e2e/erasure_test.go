package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
)

// A buyer is erased: nothing of the address is in any table, of Temporal's histories or of the
// mails' files, and tickets, stock and books are as before.
func testErasure(t *testing.T, s *stack) {
	sale := s.sale(t, 10, longHold, 4)
	email := "erase-" + newBuyer()
	place := func(want items) (o order) {
		t.Helper()
		a := s.checkout(t, sale, newKey(), want, email)
		require.Equal(t, http.StatusCreated, a.status, "%s", a.body)
		a.into(t, &o)
		return o
	}
	paid, given := place(items{"A": 2}), place(items{"a": 1})
	s.pay(t, paid, "succeeded")
	s.awaitStatus(t, paid, "paid")
	s.awaitMail(t, email, "Your 2 tickets: End to end")
	require.NotEmpty(t, s.tablesWith(t, email))

	erase := func(body string) answer {
		t.Helper()
		return s.request(t, http.MethodPost, s.env["BOXOFFICE_ADMIN_URL"]+"/v1/erasures", s.admin(), body)
	}
	byAddress := fmt.Sprintf(`{"email":"  %s "}`, strings.ToUpper(email))
	open := erase(byAddress)
	require.Equal(t, http.StatusConflict, open.status, "%s", open.body)
	require.Equal(t, "not_settled", open.code(t))
	require.Contains(t, string(open.body), given.Order)
	require.NotContains(t, string(open.body), paid.Order)
	_, err := s.boxOffice().CancelOrder(t.Context(), given.Order, given.Token)
	require.NoError(t, err)
	s.awaitClosed(t, "checkout/"+given.Order)
	s.awaitClosed(t, "checkout/"+paid.Order)
	before := s.state(t, paid)

	erased := erase(byAddress)
	require.Equal(t, http.StatusOK, erased.status, "%s", erased.body)
	require.JSONEq(t, fmt.Sprintf(`{"orders":[%q],"unsold":[%q]}`, paid.Order, given.Order), withoutSchema(t, erased))
	require.Empty(t, s.tablesWith(t, email))
	require.Empty(t, s.mails(t, email))
	for _, o := range []order{paid, given} {
		eventually(t, "Temporal forgets "+o.Order, func() bool {
			_, err := s.temporal.DescribeWorkflowExecution(t.Context(), "checkout/"+o.Order, "")
			var gone *serviceerror.NotFound
			return errors.As(err, &gone)
		})
	}
	require.Equal(t, before, s.state(t, paid), "the tickets are as good as before")
	s.awaitStock(t, sale, "A", level{Sold: 2, Available: 8})
	for _, body := range []string{byAddress, fmt.Sprintf(`{"orders":[%q,%q]}`, given.Order, paid.Order)} {
		again := erase(body)
		require.Equal(t, http.StatusOK, again.status, "%s", again.body)
		require.Equal(t, string(erased.body), string(again.body))
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	output, err := s.command(ctx, "verify", "--wait", "2s", sale)
	require.NoError(t, err, "%s", output)
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
	require.NoError(t, err)
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), `SELECT table_name::text FROM information_schema.tables
		WHERE table_schema = current_schema() AND table_type = 'BASE TABLE' ORDER BY 1`)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NotEmpty(t, tables)
	for _, table := range tables {
		var there bool
		query := fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s row WHERE strpos(lower(row::text), lower($1)) > 0)`, pgx.Identifier{table}.Sanitize())
		require.NoError(t, conn.QueryRow(t.Context(), query, text).Scan(&there))
		if there {
			found = append(found, table)
		}
	}
	return found
}
