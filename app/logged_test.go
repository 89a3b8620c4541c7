package app

import (
	"bytes"
	"log/slog"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"boxoffice/orders/orderstest"
)

// An operator is told, at the start, where the database writes buyers' addresses into
// its log; and of nothing where it does not.
func TestServeSaysWhereTheDatabasesLogShowsBuyers(t *testing.T) {
	for verbosity, warned := range map[string]bool{"default": true, "terse": false} {
		t.Run(verbosity, func(t *testing.T) {
			s := newService(t, roleAll)
			database := orderstest.URL(t)
			orderstest.Open(t, database) // with its schema
			u, err := url.Parse(database)
			require.NoError(t, err)
			query := u.Query()
			query.Set("log_error_verbosity", verbosity)
			query.Set("log_min_duration_statement", "1s")
			u.RawQuery = query.Encode()
			s.DatabaseURL = secret(u.String())
			var log bytes.Buffer
			s.log = slog.New(slog.NewTextHandler(&log, nil))

			store, err := s.openOrders(t.Context(), newMetrics())
			require.NoError(t, err)
			t.Cleanup(store.Close)
			if !warned {
				require.NotContains(t, log.String(), "log")
				return
			}
			require.Contains(t, log.String(), "level=WARN")
			require.Contains(t, log.String(), "log_parameter_max_length is -1, not 0")
			require.Contains(t, log.String(), "SET log_parameter_max_length = '0';")
		})
	}
}
