// Command mockpay is the payment provider of the local stack and of the tests; see
// package mockpay. The environment configures it: MOCKPAY_URL, MOCKPAY_DATA_DIR,
// BOXOFFICE_URL, BOXOFFICE_WEBHOOK_SECRET.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"boxoffice/mockpay"
)

const usage = `mockpay plays the payment provider of a box office: pay pages, signed webhooks, refunds, and mischief
where it is asked for. It takes no flags; it reads the environment:

  MOCKPAY_URL               where it listens, on loopback (http://127.0.0.1:8090)
  MOCKPAY_LISTEN            host:port where it listens instead, such as 0.0.0.0:8090 in a container; whoever reaches it can pay
  MOCKPAY_DATA_DIR          where it keeps its log (.data/mockpay)
  BOXOFFICE_URL             the box office that it tells of payments (http://127.0.0.1:8080)
  BOXOFFICE_WEBHOOK_SECRET  what it signs its webhooks with: whsec_ and base64 of 24–64 bytes; needed.
                            BOXOFFICE_WEBHOOK_SECRET_FILE names a file with it instead
`

func main() {
	if len(os.Args) == 2 && slices.Contains([]string{"help", "-h", "-help", "--help"}, os.Args[1]) {
		fmt.Print(usage)
		return
	}
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
		return fmt.Errorf("unexpected argument %q: mockpay is configured by the environment, see mockpay --help", os.Args[1])
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
