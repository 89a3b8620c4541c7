package load

import (
	"context"
	"errors"
)

// If a Step returns ErrExhausted, the run ends: what it works on is used up.
var ErrExhausted = errors.New("nothing left to work on")

// A Failure is an answer that is not the expected one.
type Failure struct {
	Code   string // short and one of few: runs are summed up by it
	Detail string // of this one request, for people
}

func (f *Failure) Error() string { return f.Code + ": " + f.Detail }

// Codes of errors that are no Failure.
const (
	CodeTimeout  = "timeout"
	CodeNoAnswer = "no_answer"
	// CodeNotSent counts arrivals of an open loop that found no free place until
	// long after the end of the run.
	CodeNotSent = "not_sent"
)

// CodeOf sorts an error of a Step.
func CodeOf(err error) string {
	var failure *Failure
	switch {
	case errors.As(err, &failure):
		return failure.Code
	case errors.Is(err, context.DeadlineExceeded):
		return CodeTimeout
	default:
		return CodeNoAnswer
	}
}
