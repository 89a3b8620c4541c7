package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

type memory map[string]bool

func (m memory) Once(_ context.Context, id string, do func() error) error {
	if m[id] {
		return nil
	}
	if err := do(); err != nil {
		return err
	}
	m[id] = true
	return nil
}

func TestTheExampleConsumerProcessesEachEventOnce(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "boxoffice.orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumerGroup("accounts"), kgo.ConsumeTopics("boxoffice.orders"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	const a, b = `{"id":"evt_a","type":"order.paid","schema":1,"order":"a"}`, `{"id":"evt_b","type":"order.paid","schema":1,"order":"b"}`
	for _, value := range []string{a, b, a, `{"id":"evt_x","type":"order.of_a_later_release","schema":3}`, b, `{"id":"evt_c","type":"order.paid","schema":1,"order":"last"}`} {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "boxoffice.orders", Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var paid []string
	err = consume(ctx, client, memory{}, func(order string) error {
		paid = append(paid, order)
		if order == "last" {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(paid) != 3 || paid[0] != "a" || paid[1] != "b" {
		t.Errorf("got %v and %v, want each order once", paid, err)
	}
}
