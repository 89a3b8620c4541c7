package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"boxoffice/audit"
)

// verify audits the running box office: every sale, or those named.
func verify(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("verify", flag.ExitOnError)
	wait := flags.Duration("wait", 30*time.Second, "how long to wait for checkouts that are under way")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: boxoffice verify [flags] [sale …]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	return verifySales(ctx, c, flags.Args(), *wait)
}

func verifySales(ctx context.Context, c config, sales []string, wait time.Duration) error {
	if c.AdminToken == "" {
		return errors.New("BOXOFFICE_ADMIN_TOKEN is not set: set -a; . .data/dev.env")
	}
	verifier := &audit.Verifier{URL: c.URL, AdminURL: c.AdminURL, Token: string(c.AdminToken), Sales: sales, Wait: wait}
	reports, err := verifier.Verify(ctx, os.Stdout)
	if err != nil {
		return err
	}
	if audit.AnyBroken(reports) {
		return errors.New("an invariant is broken: see above for the offenders and what to do")
	}
	return nil
}
