package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"boxoffice/audit"
)

// verify audits the running box office: every sale and what belongs to none, or only the
// given sales.
func verify(ctx context.Context, args []string) error {
	flags := newFlags("verify")
	wait := flags.Duration("wait", 30*time.Second, "how long to wait for checkouts that are under way")
	asJSON := flags.Bool("json", false, "print the reports as one JSON array")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: boxoffice verify [flags] [sale …]\nexit: 0 every invariant holds; 1 one is broken; 3 could not look")
		flags.PrintDefaults()
	}
	if err := parseWithArguments(flags, args); err != nil {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	return VerifySales(ctx, c, flags.Args(), *wait, *asJSON)
}

// VerifySales audits some sales and prints the results.
func VerifySales(ctx context.Context, c Config, sales []string, wait time.Duration, asJSON bool) error {
	if err := c.forOrganiser(); err != nil {
		return err
	}
	verifier := &audit.Verifier{URL: c.URL, AdminURL: c.AdminURL, Token: string(c.AdminToken), Sales: sales, Wait: wait, JSON: asJSON}
	reports, err := verifier.Verify(ctx, os.Stdout)
	switch {
	case err != nil:
		return blindError{err}
	case audit.AnyBroken(reports):
		return errors.New("an invariant is broken: see above for the offenders and what to do")
	case audit.AnyUnread(reports):
		return blindError{errors.New("could not look at everything: see above; nothing that could be looked at is broken")}
	}
	return nil
}

// exitBlind tells scripts that nobody knows, which is neither good nor broken. 2 already
// means wrong usage.
const exitBlind = 3

// A blindError says that an audit could not look.
type blindError struct{ error }

func (e blindError) Unwrap() error { return e.error }
func (blindError) ExitCode() int   { return exitBlind }
