package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"boxoffice/app"
	"boxoffice/lab/demo"
)

// runDemo sends buyers and then verifies what they left behind.
func runDemo(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ExitOnError)
	var o demo.Options
	flags.IntVar(&o.Buyers, "buyers", 300, "how many buyers come at once")
	flags.Int64Var(&o.Seats, "seats", 100, "how many seats there are")
	flags.Float64Var(&o.FailShare, "fail", 0.15, "share of buyers whose payment fails")
	flags.Float64Var(&o.LeaveShare, "leave", 0.15, "share of buyers who walk away")
	flags.DurationVar(&o.HoldTimeout, "hold", 10*time.Second, "how long a seat is held")
	flags.DurationVar(&o.Timeout, "timeout", 3*time.Minute, "time limit of the whole run")
	flags.Uint64Var(&o.Seed, "seed", rand.Uint64(), "seed of the crowd's behaviour; default random")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := app.ReadConfig()
	if err != nil {
		return err
	}
	o.BoxOfficeURL, o.AdminURL, o.AdminToken, o.MockPayURL = c.URL, c.AdminURL, string(c.AdminToken), c.MockPayURL
	o.Out = os.Stdout
	if info, err := os.Stdout.Stat(); err == nil {
		o.IsTerminal = info.Mode()&os.ModeCharDevice != 0
	}
	result, err := demo.Run(ctx, o)
	if err != nil {
		return err
	}
	fmt.Println()
	if err := app.VerifySales(ctx, c, []string{result.Sale}, time.Minute, false); err != nil {
		return err
	}
	switch {
	case result.Counts[demo.Lost] > 0:
		return fmt.Errorf("%d buyers got no final answer", result.Counts[demo.Lost])
	case !result.SoldOut:
		fmt.Printf("%d of %d seats were sold: too few buyers wanted to pay. Try a smaller --seats or more --buyers.\n", result.Counts[demo.Paid], o.Seats)
	}
	return nil
}
