package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// published are the records of the topic of orders, as a consumer from the beginning gets them.
type published struct {
	consumer *kgo.Client
	records  []*kgo.Record
}

func consumeOrders(t *testing.T, brokers string) *published {
	t.Helper()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(brokers), kgo.ConsumeTopics("boxoffice.orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(consumer.Close)
	return &published{consumer: consumer}
}

// types are those of an order's events, each when it came first.
func (p *published) types(order string) (types []string) {
	seen := map[string]bool{}
	for _, record := range p.records {
		if id := header(record, "id"); string(record.Key) == order && !seen[id] {
			seen[id] = true
			types = append(types, header(record, "type"))
		}
	}
	return types
}

func header(record *kgo.Record, key string) string {
	for _, h := range record.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// await polls until the order has these events, in this order and no others.
func (p *published) await(t *testing.T, o order, types ...string) {
	t.Helper()
	eventually(t, "Kafka has of order "+o.Order+": "+strings.Join(types, ", "), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		p.records = append(p.records, p.consumer.PollFetches(ctx).Records()...)
		return strings.Join(p.types(o.Order), " ") == strings.Join(types, " ")
	})
}

func (s *stack) sellOne(t *testing.T, sale string) order {
	t.Helper()
	o := s.hold(t, sale, items{"A": 1})
	s.pay(t, o, "succeeded")
	s.awaitStatus(t, o, "paid")
	return o
}

// The whole box office with brokers that are not there: it starts and sells, says that it is behind, and loses nothing,
// also when they come and go.
func TestBrokersThatAreNotThere(t *testing.T) {
	needStack(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	brokers := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KAFKA_BROKERS", " "+brokers+" ")
	s := startStack(t, dataDir(t), embeddedLedger)
	sale := s.sale(t, 10, longHold, 4)
	first := s.sellOne(t, sale)
	s.awaitMetric(t, `boxoffice_kafka_failures_total{reason="unreachable"}`, func(v float64) bool { return v > 0 })
	s.awaitMetric(t, `boxoffice_reader_lag_events{reader="kafka"}`, func(v float64) bool { return v > 0 })
	s.awaitMetric(t, `boxoffice_reader_lag_events{reader="mail"}`, func(v float64) bool { return v == 0 }) // no other reader waits

	_, port, err := net.SplitHostPort(brokers)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	state := t.TempDir()
	start := func() *kfake.Cluster {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(number), kfake.SeedTopics(3, "boxoffice.orders", "boxoffice.sales"), kfake.DataDir(state))
		if err != nil {
			t.Fatal(err)
		}
		return cluster
	}
	cluster := start()
	consumer := consumeOrders(t, brokers)
	consumer.await(t, first, "order.paid")
	s.awaitMetric(t, `boxoffice_reader_lag_events{reader="kafka"}`, func(v float64) bool { return v == 0 })

	cluster.Close()
	second := s.sellOne(t, sale)
	s.awaitMetric(t, `boxoffice_reader_lag_events{reader="kafka"}`, func(v float64) bool { return v > 0 })
	cluster = start()
	t.Cleanup(cluster.Close)
	consumer.await(t, second, "order.paid")
	consumer.await(t, first, "order.paid")
}

// On an Apache Kafka: an order's events are there in their order, with key, headers and a schema that they meet; killed in
// the midst the broker has lost none.
func TestKafka(t *testing.T) {
	needStack(t)
	bin, err := tools()
	if err != nil {
		t.Fatal(err)
	}
	look := []string{"kafka"}
	if os.Getenv("KAFKA") != "" { // make test KAFKA=1 may download it
		look = append(look, "--fetch")
	}
	found, err := exec.Command(filepath.Join(bin, "devstack"), look...).CombinedOutput()
	if err != nil {
		t.Skip("SKIPPED on an Apache Kafka: " + strings.TrimSpace(string(found)))
	}
	t.Attr("ran-on", strings.TrimSpace(strings.Split(string(found), " in ")[0]))
	dir := dataDir(t)
	s := startStack(t, dir, embeddedLedger, "--kafka")
	sale := s.sale(t, 10, longHold, 4)
	o := s.sellOne(t, sale)
	consumer := consumeOrders(t, s.env["KAFKA_BROKERS"])
	consumer.await(t, o, "order.paid")
	if _, err := s.boxOffice().RefundOrder(t.Context(), o.Order); err != nil {
		t.Fatal(err)
	}
	story := []string{"order.paid", "order.refund_begun", "order.refunded"}
	consumer.await(t, o, story...)
	for _, record := range consumer.records {
		requireSchema(t, record)
	}

	killed := s.pid("kafka")
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	during := s.sellOne(t, sale)
	eventually(t, "Kafka runs again", func() bool { pid := s.pid("kafka"); return pid != 0 && pid != killed })
	consumer.await(t, during, "order.paid")
	consumer.await(t, s.sellOne(t, sale), "order.paid")
	again := consumeOrders(t, s.env["KAFKA_BROKERS"])
	again.await(t, o, story...)
	again.await(t, during, "order.paid")

	// What docs tell people to type.
	events := exec.Command(filepath.Join(bin, "devstack"), "events", "--data", dir, "--", "--max-messages", "1", "--timeout-ms", "60000")
	shown, err := events.Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(shown), `"type":"order.`) {
		t.Errorf("the console consumer shows no event of an order:\n%s", shown)
	}
}

// requireSchema holds a record against the schema that is published for its type.
func requireSchema(t *testing.T, record *kgo.Record) {
	t.Helper()
	name := filepath.Join(repository, "docs", "schemas", header(record, "type")+"."+header(record, "schema")+".json")
	schema, err := jsonschema.NewCompiler().Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(record.Value))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v\n%s", name, err, record.Value)
	}
	var e struct{ ID, Order string }
	if err := json.Unmarshal(record.Value, &e); err != nil {
		t.Fatal(err)
	}
	if e.ID == "" || header(record, "id") != e.ID || string(record.Key) != e.Order {
		t.Errorf("key %q, header id %q of %s", record.Key, header(record, "id"), record.Value)
	}
}
