package app

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"boxoffice/checkouts"
	"boxoffice/erasure"
)

const eraseUsage = `usage: boxoffice erase-buyer [-orders], as the organiser

  Reads the buyer's address from standard input: an argument would stay in the shell's
  history. Prints the orders that have no data of the buyer any more; keep that list until
  your last backup from before is gone.

  -orders  read orders instead, one a line: what an earlier run printed, after a backup was
           restored
`

// eraseBuyer erases what is kept of a buyer. It asks a running box office: only that
// reaches the ledger, the database and Temporal.
func eraseBuyer(ctx context.Context, args []string) error {
	flags := newFlags("erase-buyer")
	byOrders := flags.Bool("orders", false, "")
	flags.Usage = func() { fmt.Fprint(flags.Output(), eraseUsage) }
	if err := parse(flags, args); err != nil {
		return err
	}
	c, err := organiserConfig()
	if err != nil {
		return err
	}
	lines, err := readLines(os.Stdin)
	if err != nil {
		return err
	}
	return c.eraseBuyer(ctx, lines, *byOrders, os.Stdout)
}

func (c *config) eraseBuyer(ctx context.Context, lines []string, byOrders bool, out io.Writer) error {
	request := map[string]any{"orders": lines}
	if !byOrders {
		if len(lines) != 1 {
			return errors.New("want one address on standard input")
		}
		request = map[string]any{"email": lines[0]}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if body, err = c.postAsOrganiser(ctx, "/v1/erasures", body); err != nil {
		return err
	}
	var answer struct{ Orders, Unsold []string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("the answer is not an erasure's: %w", err)
	}
	for _, order := range append(answer.Orders, answer.Unsold...) {
		if _, err := fmt.Fprintln(out, order); err != nil {
			return err
		}
	}
	return nil
}

func readLines(in io.Reader) (lines []string, err error) {
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// eraser reaches everything that keeps something of a buyer.
func (s *service) eraser(p *parts) *erasure.Eraser {
	e := &erasure.Eraser{Orders: p.store.Readers(), Ledger: p.book, Temporal: p.desk, Keys: p.keys}
	if p.mails != nil && p.mails.folder != nil {
		e.Mails = p.mails.folder
	}
	return e
}

// keeperTask names what one node does at a time, keeperHold how long it has it without asking again: longer than a step takes.
const (
	keeperTask = "buyers"
	keeperHold = 5 * time.Minute
)

// keeper erases the buyers of sales that no longer keep them.
func (s *service) keeper(p *parts) *erasure.Keeper {
	store, node := p.store.Readers(), rand.Text()
	return &erasure.Keeper{
		Due: store.DueBuyers, Erase: s.eraser(p).Erase, Log: s.log,
		Mine: func(ctx context.Context) (bool, error) {
			_, mine, err := store.HoldTask(ctx, keeperTask, node, keeperHold)
			return mine, err
		},
	}
}

var _ erasure.Temporal = (*checkouts.Desks)(nil)
