package orders

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A LogSetting is a server setting that writes values of our statements into its log,
// which must not have buyers' addresses and tickets' codes.
type LogSetting struct {
	Name, Value string
	Safe        string // the value that keeps them out
}

// String says what it is and what it should be.
func (s LogSetting) String() string {
	return fmt.Sprintf("%s is %s, not %s", s.Name, s.Value, s.Safe)
}

// LogsBuyers returns the settings that would put buyers' addresses and tickets' codes
// into the database's log; empty if all are as they should be. It reads the settings of
// this process's own connections. Only a superuser may change them, for the database,
// say.
func (s *Store) LogsBuyers(ctx context.Context) ([]LogSetting, error) {
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	rows, err := s.pool.Query(ctx, `SELECT name, setting FROM pg_settings WHERE name = ANY($1)`, logSettings)
	if err != nil {
		return nil, readFailed("read", "the settings of the log", err)
	}
	found := map[string]string{}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { found[name] = value; return nil }); err != nil {
		return nil, readFailed("read", "the settings of the log", err)
	}
	if s.pool.Config().ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeSimpleProtocol {
		found[queryExecMode] = "simple_protocol"
	}
	return logsValues(found), nil
}

// logSettings decide what is logged of a statement (PostgreSQL, "Error Reporting and
// Logging"; auto_explain; pgAudit). Settings that the server does not have are not found.
var logSettings = []string{
	"log_statement", "log_min_duration_statement", "log_min_duration_sample", "log_statement_sample_rate", "log_transaction_sample_rate",
	"log_parameter_max_length", "log_parameter_max_length_on_error", "log_error_verbosity", "log_min_error_statement",
	"auto_explain.log_min_duration", "auto_explain.log_parameter_max_length", "pgaudit.log", "pgaudit.log_parameter",
}

// queryExecMode is how our own URL has statements sent: in one of its modes their text
// has the values.
const queryExecMode = "default_query_exec_mode"

// logsValues judges settings by their names.
func logsValues(found map[string]string) (unsafe []LogSetting) {
	is := func(name, safe string) {
		if value, known := found[name]; known && value != safe {
			unsafe = append(unsafe, LogSetting{name, value, safe})
		}
	}
	// On is a duration or a rate at which something is logged.
	on := func(name string, off float64) bool {
		n, err := strconv.ParseFloat(found[name], 64)
		return err == nil && n > off
	}
	statements := found["log_statement"] == "all" || found["log_statement"] == "mod" || on("log_min_duration_statement", -1) ||
		on("log_min_duration_sample", -1) && on("log_statement_sample_rate", 0) || on("log_transaction_sample_rate", 0)
	if found["log_error_verbosity"] != "terse" { // details and contexts are logged
		is("log_error_verbosity", "terse") // DETAIL: Failing row contains
		is("log_parameter_max_length_on_error", "0")
		if statements {
			is("log_parameter_max_length", "0") // DETAIL: parameters
		}
	}
	if on("auto_explain.log_min_duration", -1) {
		is("auto_explain.log_parameter_max_length", "0")
	}
	if pgaudit := found["pgaudit.log"]; pgaudit != "" && !strings.EqualFold(pgaudit, "none") {
		is("pgaudit.log_parameter", "off")
	}
	if failed := found["log_min_error_statement"]; statements || slices.Contains(logsFailedStatements, failed) {
		is(queryExecMode, "cache_statement")
	}
	return unsafe
}

// logsFailedStatements are the levels at which a failed statement's text is logged.
var logsFailedStatements = []string{"debug5", "debug4", "debug3", "debug2", "debug1", "info", "notice", "warning", "error"}

// MendLogs returns the statements with which a superuser fixes them.
func (s *Store) MendLogs(settings []LogSetting) (statements []string) {
	database := pgx.Identifier{s.pool.Config().ConnConfig.Database}.Sanitize()
	for _, setting := range settings {
		if setting.Name == queryExecMode {
			statements = append(statements, "take "+queryExecMode+" out of the database URL")
			continue
		}
		statements = append(statements, fmt.Sprintf("ALTER DATABASE %s SET %s = '%s';", database, setting.Name, setting.Safe))
	}
	return statements
}
