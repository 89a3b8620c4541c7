// Command lossy is MockPay whose webhooks get lost for the sessions named, a
// line each, in the file `lose` in its data directory. The end-to-end tests run
// it in MockPay's place.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"boxoffice/mockpay"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "lossy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config, err := mockpay.ConfigFromEnv(os.Getenv)
	if err != nil {
		return err
	}
	config.WrapSender = func(next mockpay.Sender) mockpay.Sender {
		return lossy{next: next, file: filepath.Join(config.DataDir, "lose")}
	}
	server, err := mockpay.New(config)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

type lossy struct {
	next mockpay.Sender
	file string
}

// Send loses what it should as a network does: nobody acknowledges it.
func (l lossy) Send(ctx context.Context, m mockpay.Message) mockpay.Answer {
	if l.loses(m.Event.Session) {
		return mockpay.Answer{Err: errors.New("lost on request"), RetryAfter: time.Hour}
	}
	return l.next.Send(ctx, m)
}

func (l lossy) loses(session string) bool {
	f, err := os.Open(l.file)
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if lines.Text() == session {
			return true
		}
	}
	return false
}
