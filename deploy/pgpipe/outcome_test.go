package pgpipe

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// What an error says about a pipeline. Taking "unknown" for "rolled back" would run a transition twice.
func TestOnlyAnErrorOfTheServerSaysThatAPipelineWasRolledBack(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want verdict
	}{
		{"no error", nil, committed},
		{"a condition that did not hold", &pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "22012"}, rolledBack},
		{"a row that was there", fmt.Errorf("batch: %w", &pgconn.PgError{SeverityUnlocalized: "ERROR", Code: "23505"}), rolledBack},
		{"the session was ended, perhaps after the commit", &pgconn.PgError{SeverityUnlocalized: "FATAL", Code: "57P01"}, unanswered},
		{"the server crashed", &pgconn.PgError{SeverityUnlocalized: "PANIC"}, unanswered},
		{"the connection broke", io.ErrUnexpectedEOF, unanswered},
		{"a deadline", errors.New("context deadline exceeded"), unanswered},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := judge(c.err); got != c.want {
				t.Fatalf("judge(c.err) is %v, want %v", got, c.want)
			}
		})
	}
}
