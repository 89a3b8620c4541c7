// Command mockpay is the payment provider of the local stack and of the tests;
// package mockpay says what it does. It is configured by the environment:
// MOCKPAY_URL, MOCKPAY_DATA_DIR, BOXOFFICE_URL, BOXOFFICE_WEBHOOK_SECRET.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"boxoffice/mockpay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	slog.SetDefault(slog.New(slog.NewTextHandler(os.Stderr, nil)).With("process", "mockpay"))
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "mockpay:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if len(os.Args) > 1 {
		return fmt.Errorf("unexpected argument %q: mockpay is configured by the environment", os.Args[1])
	}
	cfg, err := mockpay.ConfigFromEnv(os.Getenv)
	if err != nil {
		return err
	}
	server, err := mockpay.New(cfg)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}
