package mail

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"boxoffice/domain"
)

type forgetful struct{ kept []time.Duration }

func (f *forgetful) ForgetAskedMails(_ context.Context, kept time.Duration) error {
	f.kept = append(f.kept, kept)
	return errors.New("the database is down")
}

// Without any sender, and again after a failure.
func TestAskedMailsAreForgottenWithoutASender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &forgetful{}
		stop := StartForgetting(store, slog.New(slog.DiscardHandler))
		time.Sleep(forgetInterval + time.Second)
		stop()
		equal(t, []time.Duration{domain.AskWindow, domain.AskWindow}, store.kept)
	})
}
