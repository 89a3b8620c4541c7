package orders_test

import (
	"maps"
	"net/url"
	"slices"
	"testing"

	"boxoffice/orders"
	"boxoffice/orders/orderstest"
)

// A server with its defaults, and common changes.
func TestWhatOfTheLogShowsBuyers(t *testing.T) {
	comes := map[string]string{
		"log_statement": "none", "log_min_duration_statement": "-1", "log_min_duration_sample": "-1", "log_statement_sample_rate": "1",
		"log_transaction_sample_rate": "0", "log_parameter_max_length": "-1", "log_parameter_max_length_on_error": "0",
		"log_error_verbosity": "default", "log_min_error_statement": "error",
	}
	both := []string{"log_error_verbosity", "log_parameter_max_length"}
	tests := []struct {
		name   string
		change map[string]string
		want   []string
	}{
		{"defaults: a failed statement shows its row", nil, []string{"log_error_verbosity"}},
		{"without details", map[string]string{"log_error_verbosity": "terse"}, nil},
		{"slow statements", map[string]string{"log_min_duration_statement": "1000"}, both},
		{"every statement's time", map[string]string{"log_min_duration_statement": "0"}, both},
		{"some of the slow ones", map[string]string{"log_min_duration_sample": "100"}, both},
		{"none of the slow ones", map[string]string{"log_min_duration_sample": "100", "log_statement_sample_rate": "0"}, []string{"log_error_verbosity"}},
		{"some transactions", map[string]string{"log_transaction_sample_rate": "0.01"}, both},
		{"writes", map[string]string{"log_statement": "mod"}, both},
		{"changes of the schema only", map[string]string{"log_statement": "ddl"}, []string{"log_error_verbosity"}},
		{"slow statements, cut short", map[string]string{"log_min_duration_statement": "1000", "log_parameter_max_length": "64"}, both},
		{"slow statements without their values", map[string]string{"log_min_duration_statement": "1000", "log_parameter_max_length": "0"}, []string{"log_error_verbosity"}},
		{"slow statements without details", map[string]string{"log_error_verbosity": "terse", "log_min_duration_statement": "1000"}, nil},
		{"values of failed ones", map[string]string{"log_error_verbosity": "verbose", "log_parameter_max_length_on_error": "-1"},
			[]string{"log_error_verbosity", "log_parameter_max_length_on_error"}},
		{"plans", map[string]string{"log_error_verbosity": "terse", "auto_explain.log_min_duration": "250", "auto_explain.log_parameter_max_length": "-1"},
			[]string{"auto_explain.log_parameter_max_length"}},
		{"plans are off", map[string]string{"log_error_verbosity": "terse", "auto_explain.log_min_duration": "-1", "auto_explain.log_parameter_max_length": "-1"}, nil},
		{"an audit of the server", map[string]string{"log_error_verbosity": "terse", "pgaudit.log": "write", "pgaudit.log_parameter": "on"}, []string{"pgaudit.log_parameter"}},
		{"values in the text, which is logged when it fails", map[string]string{"log_error_verbosity": "terse", "default_query_exec_mode": "simple_protocol"},
			[]string{"default_query_exec_mode"}},
		{"values in the text, which is never logged", map[string]string{"log_error_verbosity": "terse", "log_min_error_statement": "panic",
			"default_query_exec_mode": "simple_protocol"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := maps.Clone(comes)
			maps.Copy(found, tt.change)
			if got := settingNames(orders.LogsValues(found)); !slices.Equal(got, tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}

// It reads the test server's settings, and the statement that it returns fixes them.
func TestLogsBuyersReadsTheServersOwnSettings(t *testing.T) {
	t.Parallel()
	for verbosity, want := range map[string][]string{"verbose": {"log_error_verbosity", "log_parameter_max_length"}, "terse": nil} {
		u := must(url.Parse(orderstest.URL(t)))
		query := u.Query()
		query.Set("log_error_verbosity", verbosity)
		query.Set("log_min_duration_statement", "5s")
		u.RawQuery = query.Encode()
		store := must(orders.Open(t.Context(), u.String(), orders.Options{}))
		t.Cleanup(store.Close)
		unsafe := must(store.LogsBuyers(t.Context()))
		if !slices.Equal(settingNames(unsafe), want) {
			t.Errorf("%s: %v, want %v", verbosity, unsafe, want)
		}
		for i, statement := range store.MendLogs(unsafe) {
			if want := `ALTER DATABASE "` + u.Path[1:] + `" SET ` + unsafe[i].Name + ` = '` + unsafe[i].Safe + `';`; statement != want {
				t.Errorf("%v is mended by %s, want %s", unsafe[i], statement, want)
			}
		}
	}
}

func settingNames(settings []orders.LogSetting) (all []string) {
	for _, s := range settings {
		all = append(all, s.Name)
	}
	return all
}
