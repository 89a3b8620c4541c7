package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// event has the fields of the value that this consumer needs. It does not import the box office's code.
type event struct {
	ID     string          `json:"id"`
	Type   string          `json:"type"`
	Schema int             `json:"schema"`
	Order  string          `json:"order"`
	Sale   string          `json:"sale"`
	Data   json.RawMessage `json:"data"`
}

// database is the consumer's own. Once does something once per id: it stores the id in the same transaction as the effect, for
// example with INSERT … ON CONFLICT DO NOTHING.
type database interface {
	Once(ctx context.Context, id string, do func() error) error
}

// consume processes events until the context ends. The client belongs to a consumer group and has kgo.DisableAutoCommit: it
// commits offsets after their events are done, so an event may come again and none is missed.
func consume(ctx context.Context, client *kgo.Client, db database, paid func(order string) error) error {
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			var e event
			if err := json.Unmarshal(record.Value, &e); err != nil {
				return fmt.Errorf("offset %d of %s/%d: %w", record.Offset, record.Topic, record.Partition, err)
			}
			if e.Type != "order.paid" { // also for types that did not exist when this was written
				continue
			}
			if e.Schema > 1 {
				return fmt.Errorf("event %s has schema %d: this consumer must be brought up to date", e.ID, e.Schema)
			}
			if err := db.Once(ctx, e.ID, func() error { return paid(e.Order) }); err != nil {
				return err
			}
		}
		if err := client.CommitUncommittedOffsets(ctx); err != nil {
			return err
		}
	}
}
