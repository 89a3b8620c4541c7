package app

import (
	"bytes"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"boxoffice/orders/orderstest"
)

// At the start, a warning tells the operator if the database writes buyers' addresses into
// its log. Otherwise there is none.
func TestServeWarnsIfTheDatabaseLogsBuyers(t *testing.T) {
	for verbosity, warned := range map[string]bool{"default": true, "terse": false} {
		t.Run(verbosity, func(t *testing.T) {
			s := newService(t, roleAll)
			database := orderstest.URL(t)
			orderstest.Open(t, database) // with its schema
			u, err := url.Parse(database)
			if err != nil {
				t.Fatal(err)
			}
			query := u.Query()
			query.Set("log_error_verbosity", verbosity)
			query.Set("log_min_duration_statement", "1s")
			u.RawQuery = query.Encode()
			s.DatabaseURL = secret(u.String())
			var log bytes.Buffer
			s.log = slog.New(slog.NewTextHandler(&log, nil))

			store, err := s.openOrders(t.Context(), newMetrics())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(store.Close)
			if !warned {
				if got := log.String(); strings.Contains(got, "log") {
					t.Fatalf("%q is in %s", "log", got)
				}
				return
			}
			if got := log.String(); !strings.Contains(got, "level=WARN") {
				t.Fatalf("no %q in %s", "level=WARN", got)
			}
			if got := log.String(); !strings.Contains(got, "log_parameter_max_length is -1, not 0") {
				t.Fatalf("no %q in %s", "log_parameter_max_length is -1, not 0", got)
			}
			if got := log.String(); !strings.Contains(got, "SET log_parameter_max_length = '0';") {
				t.Fatalf("no %q in %s", "SET log_parameter_max_length = '0';", got)
			}
		})
	}
}
