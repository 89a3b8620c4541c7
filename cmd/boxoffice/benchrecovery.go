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

	"boxoffice/bench"
	"boxoffice/worker"
)

// runBenchRecovery kills the local stack that the environment points at, and
// measures how it takes its open checkouts up again.
func runBenchRecovery(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench recovery", flag.ExitOnError)
	open := flags.String("open", "1000,3000,10000", "open `checkouts` at the kill, a round each")
	cases := flags.String("deadlines", strings.Join(bench.RecoveryCases, ","), "when the checkouts expire: while all is down, once it is up again")
	out := flags.String("out", "bench-results", "`folder` of the JSON and HTML files")
	timeout := flags.Duration("timeout", 2*time.Hour, "of everything")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: boxoffice bench recovery [flags] COMMAND...\nCOMMAND starts the stack again on its data directory. Everything in that stack is killed; its data stays.")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errors.New("bench recovery needs the command that starts the stack again (make bench-recovery)")
	}
	c, err := readConfig()
	if err != nil {
		return err
	}
	// Nothing of the other flags matters here.
	options, err := (&benchSettings{}).options(c)
	if err != nil {
		return err
	}
	r := bench.Recovery{
		Cases: strings.Split(*cases, ","),
		Stack: &bench.LocalStack{DataDir: c.DataDir, URL: c.URL, Command: flags.Args(), Log: filepath.Join(*out, "stack.log")},
	}
	if r.Open, err = bench.ParseClients(*open); err != nil {
		return fmt.Errorf("--open: %w", err)
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	r.Dial = func(ctx context.Context) (client.Client, error) {
		return worker.Dial(ctx, c.TemporalAddress, c.TemporalNamespace, c.Payloads, quiet)
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	result, err := bench.RunRecovery(ctx, options, r)
	if err != nil && !errors.Is(err, bench.ErrFound) {
		return err
	}
	return errors.Join(err, writeBench(result, *out))
}
