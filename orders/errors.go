package orders

import (
	"errors"
	"fmt"
	"time"

	"boxoffice/domain"

	"github.com/jackc/pgx/v5/pgconn"
)

// readRetryAfter is when a read may be retried if the database is down.
const readRetryAfter = time.Second

// readFailed names what was read. A read changes nothing, so its failure is never an
// unknown outcome: the database is down, which passes, or it refused the statement, which
// is our bug. Only a value that this release does not know is unknown.
func readFailed(op, id string, err error) error {
	var definite *domain.Error
	if err == nil || errors.As(err, &definite) || domain.IsUnknown(err) {
		return err
	}
	err = fmt.Errorf("orders: %s %s: %w", op, id, err)
	if isAway(err) {
		return &domain.Error{Code: domain.CodeOverloaded, Detail: "The orders database does not answer.", RetryAfter: readRetryAfter, Err: err}
	}
	return err
}

// isAway reports whether the server did not answer at all.
func isAway(err error) bool {
	var answer *pgconn.PgError
	if !errors.As(err, &answer) {
		return true // no connection, or none in time
	}
	switch answer.Code[:2] { // SQLSTATE classes (PostgreSQL, appendix A)
	case "08", "53", "57", "58": // connection, resources, operator intervention, system
		return true
	default:
		return false
	}
}

// writeFailed separates a write that can never happen, one that did not happen, and one
// whose outcome is not known.
func writeFailed(op, id string, err error) error {
	var definite *domain.Error
	switch {
	case err == nil || errors.As(err, &definite):
		return err
	case neverHappens(err):
		return &domain.Error{
			Code: domain.CodeInternal, Detail: "The orders database will not take this, however often it is tried.",
			Err: fmt.Errorf("orders: %s %s: %w", op, id, err),
		}
	case didNotHappen(err) && isAway(err):
		return &domain.Error{
			Code: domain.CodeOverloaded, Detail: "The orders database does not answer. Nothing was written.", RetryAfter: readRetryAfter,
			Err: fmt.Errorf("orders: %s %s: %w", op, id, err),
		}
	case didNotHappen(err):
		return fmt.Errorf("orders: %s %s: %w", op, id, err)
	default:
		return &domain.UnknownError{Op: "orders: " + op, ID: id, Err: err}
	}
}

// neverHappens reports whether the database refuses the rows themselves: SQLSTATE class 22,
// data exception, or 23, integrity constraint violation (PostgreSQL, appendix A). Two of
// class 23 are about other rows, which may change: a duplicate key, which callers check
// first, and a foreign key. If a sale is missing, the database was restored from too early,
// or is the wrong one: paid orders wait for the right one.
func neverHappens(err error) bool {
	const foreignKeyViolation = "23503"
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || isUniqueViolation(err) || refused.Code == foreignKeyViolation {
		return false
	}
	class := refused.Code[:2]
	return class == "22" || class == "23"
}

// didNotHappen reports whether we know that a failed write left nothing.
func didNotHappen(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return !outcomeLost(refused.Code)
	}
	var connect *pgconn.ConnectError
	return errors.As(err, &connect) || pgconn.SafeToRetry(err)
}

// outcomeLost lists the errors that a server may send while a commit is under way. It
// sends every other error before, and rolls the transaction back (PostgreSQL, appendix A,
// "Error Codes").
func outcomeLost(sqlState string) bool {
	switch sqlState {
	case "40003", // statement_completion_unknown
		"08007", // transaction_resolution_unknown
		"08006", // connection_failure, sent by poolers in between
		"57P01", // admin_shutdown
		"57P02", // crash_shutdown
		"57P05": // idle_session_timeout
		return true
	}
	return false
}

// isUniqueViolation reports whether that key already exists.
func isUniqueViolation(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "23505"
}
