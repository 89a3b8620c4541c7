package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.temporal.io/sdk/client"

	"boxoffice/app"
	"boxoffice/lab/bench"
)

const benchRecoveryUsage = `usage: lab bench recovery [flags] COMMAND...

Opens checkouts, kills every process of the local stack that the environment
points at, starts it again and looks what became of them. Its data stays.
COMMAND is what starts that stack on its data directory, at the same addresses;
make bench-recovery does all of it on a stack of its own.

`

// runBenchRecovery kills the local stack that the environment points at, and
// measures how it takes its open checkouts up again.
func runBenchRecovery(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench recovery", flag.ExitOnError)
	open := flags.String("open", "1000,3000,10000", "open `checkouts` at the kill, one round for each number")
	cases := flags.String("deadlines", strings.Join(bench.RecoveryCases, ","), "when the checkouts expire: while everything is down, or once it is up again")
	out := flags.String("out", "bench-results", "`folder` of the JSON and HTML files")
	timeout := flags.Duration("timeout", 2*time.Hour, "time limit of the whole run")
	setUsage(flags, benchRecoveryUsage)
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("bench recovery needs the command that starts the stack again: make bench-recovery has it, lab bench recovery -h says more")
	}
	c, err := app.ReadConfig()
	if err != nil {
		return err
	}
	options, err := benchOptions(c)
	if err != nil {
		return err
	}
	r := bench.Recovery{Cases: strings.Split(*cases, ",")}
	if r.Open, err = bench.ParseCounts(*open); err != nil {
		return fmt.Errorf("--open: %w", err)
	}
	if r.Stack, err = bench.NewLocalStack(c.DataDir, c.URL, filepath.Join(*out, "stack.log"), flags.Args()); err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	// The SDK's warnings would be of connections that are meant to break.
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	r.Dial = func(ctx context.Context) (client.Client, error) { return c.DialTemporal(ctx, quiet) }
	ctx, cancel := withTimeoutFlag(ctx, *timeout)
	defer cancel()
	result, err := bench.RunRecovery(ctx, options, r)
	return reportBench(result, err, *out)
}
