package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"boxoffice/app"
	"boxoffice/lab/abuse"
)

// runAbuse sends bots and then verifies what they left behind.
func runAbuse(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("abuse", flag.ExitOnError)
	o := abuse.Options{Out: os.Stdout}
	flags.DurationVar(&o.Timeout, "timeout", 5*time.Minute, "time limit of the whole drill")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := app.ReadConfig()
	if err != nil {
		return err
	}
	o.BoxOfficeURL, o.AdminURL, o.AdminToken, o.MockPayURL = c.URL, c.AdminURL, string(c.AdminToken), c.MockPayURL
	result, err := abuse.Run(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println()
	if err := app.VerifySales(ctx, c, result.Sales, time.Minute, false); err != nil {
		return err
	}
	result.Print(os.Stdout)
	return result.Broken()
}
