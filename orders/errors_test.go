package orders

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"boxoffice/domain"
)

func TestReadsTellAnAbsentDatabaseFromABug(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want domain.Code
	}{
		"no answer in time":        {context.DeadlineExceeded, domain.CodeOverloaded},
		"no connection":            {errors.New("dial tcp: connection refused"), domain.CodeOverloaded},
		"shutting down":            {&pgconn.PgError{Code: "57P01"}, domain.CodeOverloaded},
		"too many connections":     {&pgconn.PgError{Code: "53300"}, domain.CodeOverloaded},
		"a statement it refuses":   {&pgconn.PgError{Code: "42703"}, domain.CodeInternal},
		"a definite answer stands": {domain.NotFound("order"), domain.CodeNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if got := domain.CodeOf(readFailed("read order", "x", tt.err)); got != tt.want {
				t.Errorf("code %s, want %s", got, tt.want)
			}
		})
	}
}

// A write that certainly left nothing because the database is down may be repeated. If it
// may have been committed, the failure is unknown.
func TestWritesTellDefiniteFromUnknown(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want domain.Code
	}{
		"no answer in time":                   {context.DeadlineExceeded, domain.CodeUnknown},
		"the connection broke":                {errors.New("read: connection reset by peer"), domain.CodeUnknown},
		"shut down, perhaps after the commit": {&pgconn.PgError{Code: "57P01"}, domain.CodeUnknown},
		"never connected":                     {&pgconn.ConnectError{}, domain.CodeOverloaded},
		"too many connections":                {&pgconn.PgError{Code: "53300"}, domain.CodeOverloaded},
		"a statement it refuses":              {&pgconn.PgError{Code: "42703"}, domain.CodeInternal},
		"a definite answer stands":            {&domain.Error{Code: domain.CodeExists}, domain.CodeExists},
	} {
		t.Run(name, func(t *testing.T) {
			if got := domain.CodeOf(writeFailed("create sale", "x", tt.err)); got != tt.want {
				t.Errorf("code %s, want %s", got, tt.want)
			}
		})
	}
}
