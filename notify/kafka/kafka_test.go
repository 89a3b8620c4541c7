package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/tracing"
	"boxoffice/tracing/tracingtest"
)

const waitMax = 30 * time.Second // only a broken test takes this long

func cluster(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

var bothTopics = kfake.SeedTopics(3, "boxoffice.orders", "boxoffice.sales")

func publisher(t *testing.T, o Options) *Publisher {
	t.Helper()
	if o.TopicPrefix == "" {
		o.TopicPrefix = TopicPrefixDefault
	}
	if o.deliveryTimeout == 0 {
		o.deliveryTimeout = time.Second
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// paid is the n-th event, of one of several orders.
func paid(n int, order byte) domain.Event {
	return domain.Event{
		ID: domain.NewEventID(time.UnixMilli(1_700_000_000_000), 1, int64(n)), Cursor: domain.EventCursor{Transaction: uint64(n), ID: int64(n)},
		Type: domain.EventOrderPaid, Schema: 1, SaleID: "gophercon", Order: domain.OrderID{0: 1, 15: order}, OccurredAt: time.UnixMilli(1_700_000_000_000).UTC(),
		Payload: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n)),
	}
}

// stored returns the records that a topic has now.
func stored(t *testing.T, brokers []string, topic string, atLeast int) (records []*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// The last record of each partition shows that all before it have been read.
	const partitions = 3
	for n := range int32(partitions) {
		marker, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		if err := marker.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: n, Value: []byte("end")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		marker.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	for ends := 0; ends < partitions; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d records, %d ends: %v", len(records), ends, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if string(r.Value) == "end" {
				ends++
				return
			}
			records = append(records, r)
		})
	}
	if len(records) < atLeast {
		t.Fatalf("got %d records of %s, want at least %d", len(records), topic, atLeast)
	}
	return records
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// A record of an order that is sampled continues its trace; others have no such header.
func TestARecordOfASampledOrderHasItsTrace(t *testing.T) {
	always, _ := tracingtest.NewRecorder(sdktrace.AlwaysSample())
	never, _ := tracingtest.NewRecorder(sdktrace.NeverSample())
	order := domain.OrderID{0: 1, 5: 9}
	checkout := tracing.CheckoutSpan(order)
	for name, tt := range map[string]struct {
		tracer *tracing.Tracer
		order  domain.OrderID
		want   string
	}{
		"sampled":         {always, order, "00-" + order.String() + "-" + checkout.String() + "-01"},
		"not sampled":     {never, order, ""},
		"tracing is off":  {nil, order, ""},
		"of a whole sale": {always, domain.OrderID{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Publisher{tracer: tt.tracer}
			record, err := p.record(&domain.Event{ID: domain.NewEventID(time.UnixMilli(1), 1, 9), Type: "order.paid", Schema: 1, SaleID: "gophercon", Order: tt.order, Payload: json.RawMessage(`{}`)})
			if err != nil {
				t.Fatal(err)
			}
			if got := header(record, "traceparent"); got != tt.want || tt.want == "" && len(record.Headers) != 3 {
				t.Errorf("traceparent %q among %d headers, want %q", got, len(record.Headers), tt.want)
			}
		})
	}
}

func TestARecordIsTheEventsEnvelopeUnderItsSubject(t *testing.T) {
	c := cluster(t, bothTopics)
	p := publisher(t, Options{Brokers: c.ListenAddrs()})
	sale := domain.Event{ID: domain.NewEventID(time.UnixMilli(1), 1, 9), Type: domain.EventSaleOpened, Schema: 1, SaleID: "gophercon", Payload: json.RawMessage(`{}`)}
	finding := domain.Event{ID: domain.NewEventID(time.UnixMilli(1), 1, 10), Type: domain.EventAuditBroken, Schema: 1, Payload: json.RawMessage(`{}`)}
	newer := domain.Event{ID: domain.NewEventID(time.UnixMilli(1), 1, 11), Type: "sale.of_a_later_release", Schema: 7, SaleID: "gophercon", Payload: json.RawMessage(`{}`)}
	order := paid(1, 1)
	if err := p.publish(t.Context(), []domain.Event{order, sale, finding, newer}); err != nil {
		t.Fatal(err)
	}
	records := stored(t, c.ListenAddrs(), "boxoffice.orders", 1)
	want, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	if r := records[0]; len(records) != 1 || string(r.Value) != string(want) || string(r.Key) != order.Order.String() ||
		header(r, HeaderID) != order.ID.String() || header(r, HeaderType) != "order.paid" || header(r, HeaderSchema) != "1" {
		t.Errorf("got %d records, the first with key %s, headers %v and value %s", len(records), r.Key, r.Headers, r.Value)
	}
	keys := map[string]string{}
	for _, r := range stored(t, c.ListenAddrs(), "boxoffice.sales", 3) {
		keys[header(r, HeaderID)] = string(r.Key)
	}
	for id, want := range map[domain.EventID]string{sale.ID: "gophercon", finding.ID: "audit", newer.ID: "gophercon"} {
		if got := keys[id.String()]; got != want {
			t.Errorf("event %s has key %q, want %q", id, got, want)
		}
	}
	if len(p.deliveries) != 0 {
		t.Errorf("%d deliveries are remembered after they arrived", len(p.deliveries))
	}
}

func TestTheTopicGoesByTheSubjectOfTheType(t *testing.T) {
	p := publisher(t, Options{Brokers: []string{"127.0.0.1:1"}})
	for _, kind := range domain.EventTypes() {
		e := domain.Event{Type: kind, SaleID: "s"}
		if kind.Terms().Subject == domain.SubjectOrder {
			e.Order = domain.OrderID{1}
		}
		if got, want := p.topic(&e), TopicPrefixDefault+Topic(kind.Terms().Subject); got != want {
			t.Errorf("%s: topic %s, want %s", kind, got, want)
		}
	}
}

// answers is a control function that answers produce requests with the given errors, one after another, and then leaves them to
// the broker. An error of code 0 drops the connection.
func answers(c *kfake.Cluster, codes ...int16) {
	var asked atomic.Int32
	c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		n := int(asked.Add(1)) - 1
		if n >= len(codes) {
			return nil, nil, false
		}
		if codes[n] == 0 {
			return nil, errors.New("the connection breaks"), true
		}
		produce := request.(*kmsg.ProduceRequest)
		response := produce.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range produce.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = partition.Partition, codes[n]
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response, nil, true
	})
}

// firsts are the ids of the records' first copies, by key.
func firsts(records []*kgo.Record) map[string][]string {
	seen, order := map[string]bool{}, map[string][]string{}
	for _, r := range records {
		if id := header(r, HeaderID); !seen[id] {
			seen[id] = true
			order[string(r.Key)] = append(order[string(r.Key)], id)
		}
	}
	return order
}

func TestEventsOfAnOrderStayInOrderUnderRetries(t *testing.T) {
	c := cluster(t, bothTopics)
	p := publisher(t, Options{Brokers: c.ListenAddrs()})
	answers(c, kerr.NotLeaderForPartition.Code, 0, kerr.RequestTimedOut.Code, kerr.NotEnoughReplicas.Code, 0)
	want := map[string][]string{}
	var events []domain.Event
	for n := range 60 {
		e := paid(n, byte(n%7))
		events = append(events, e)
		want[e.Subject()] = append(want[e.Subject()], e.ID.String())
	}
	again(t, p, events)
	got := firsts(stored(t, c.ListenAddrs(), "boxoffice.orders", len(events)))
	for subject := range want {
		if strings.Join(got[subject], " ") != strings.Join(want[subject], " ") {
			t.Errorf("order %s: got %v, want %v", subject, got[subject], want[subject])
		}
	}
}

// again publishes until it succeeds, as the runner does.
func again(t *testing.T, p *Publisher, events []domain.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	for {
		err := p.publish(ctx, events)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestALostAcknowledgementPublishesNothingTwice(t *testing.T) {
	c := cluster(t, bothTopics)
	p := publisher(t, Options{Brokers: c.ListenAddrs()})
	lost := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut}) // it is stored, and the answer says that it may not be
	again(t, p, []domain.Event{paid(1, 1), paid(2, 2)})
	if got := len(stored(t, c.ListenAddrs(), "boxoffice.orders", 2)); got != 2 || lost.Hits() != 1 {
		t.Errorf("got %d records and %d lost answers, want 2 and 1", got, lost.Hits())
	}
}

func TestAnOutageOfTheBrokersLosesNothing(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	var mu sync.Mutex
	reasons := map[Reason]int{}
	p := publisher(t, Options{Brokers: []string{fmt.Sprintf("127.0.0.1:%d", port)}, Failed: func(r Reason) { mu.Lock(); reasons[r]++; mu.Unlock() }})
	events := []domain.Event{paid(1, 1), paid(2, 2), paid(3, 1)}
	for range 2 {
		err := p.publish(t.Context(), events)
		if err == nil || !strings.Contains(err.Error(), "no broker accepted the records in time") || !strings.Contains(err.Error(), "refused") {
			t.Fatalf("got %v, want an error that no broker answered, and why", err)
		}
		if isDefinite(err) {
			t.Fatalf("got %v, which blames the event", err)
		}
	}
	if reasons[ReasonUnreachable] != 2 {
		t.Errorf("got %v, want 2 × unreachable", reasons)
	}
	c := cluster(t, bothTopics, kfake.Ports(port))
	again(t, p, events)
	if got := len(stored(t, c.ListenAddrs(), "boxoffice.orders", 3)); got != 3 {
		t.Errorf("got %d records, want 3", got)
	}
}

// isDefinite reports whether the runner would blame the event.
func isDefinite(err error) bool {
	return fmt.Sprintf("%T", err) == fmt.Sprintf("%T", notify.Refused(nil))
}

func TestOnlyTheRecordThatIsTooLargeIsRefused(t *testing.T) {
	for name, prepare := range map[string]func(c *kfake.Cluster, e *domain.Event){
		"for us": func(_ *kfake.Cluster, e *domain.Event) {
			e.Payload = json.RawMessage(`"` + strings.Repeat("x", recordBytesMax) + `"`)
		},
		"for the broker": func(c *kfake.Cluster, e *domain.Event) {
			e.Payload = json.RawMessage(`"` + strings.Repeat("x", recordBytesMax/2) + `"`)
			c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				produce := request.(*kmsg.ProduceRequest)
				response := produce.ResponseKind().(*kmsg.ProduceResponse)
				large := false
				for _, topic := range produce.Topics {
					rt := kmsg.NewProduceResponseTopic()
					rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
					for _, partition := range topic.Partitions {
						large = large || len(partition.Records) > 3000 // compressed
						rp := kmsg.NewProduceResponseTopicPartition()
						rp.Partition, rp.ErrorCode = partition.Partition, kerr.MessageTooLarge.Code
						rt.Partitions = append(rt.Partitions, rp)
					}
					response.Topics = append(response.Topics, rt)
				}
				return response, nil, large
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, bothTopics)
			p := publisher(t, Options{Brokers: c.ListenAddrs()})
			events := []domain.Event{paid(1, 1), paid(2, 2), paid(3, 3), paid(4, 2)}
			prepare(c, &events[1])
			if err := p.publish(t.Context(), events); !isDefinite(err) {
				t.Fatalf("got %v, want a refusal of the event", err)
			}
		})
	}
}

func TestAMissingTopicIsNamed(t *testing.T) {
	c := cluster(t, kfake.SeedTopics(3, "boxoffice.sales"))
	p := publisher(t, Options{Brokers: c.ListenAddrs(), deliveryTimeout: 10 * time.Second})
	err := p.publish(t.Context(), []domain.Event{paid(1, 1)})
	if err == nil || !strings.Contains(err.Error(), "topic boxoffice.orders does not exist: create it") || isDefinite(err) || reasonOf(err) != ReasonUnknownTopic {
		t.Fatalf("got %v", err)
	}
}

func TestDeniedAccessIsNamed(t *testing.T) {
	t.Run("a topic", func(t *testing.T) {
		c := cluster(t, bothTopics)
		p := publisher(t, Options{Brokers: c.ListenAddrs()})
		answers(c, kerr.TopicAuthorizationFailed.Code)
		err := p.publish(t.Context(), []domain.Event{paid(1, 1)})
		if reasonOf(err) != ReasonUnauthorised || !strings.Contains(err.Error(), "do not let us write to topic boxoffice.orders") || isDefinite(err) {
			t.Fatalf("got %v", err)
		}
		again(t, p, []domain.Event{paid(1, 1)})
	})
	t.Run("the password", func(t *testing.T) {
		c := cluster(t, bothTopics, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "boxoffice", "right"))
		p := publisher(t, Options{Brokers: c.ListenAddrs(), Mechanism: "SCRAM-SHA-256", User: "boxoffice", Password: "wrong"})
		var allow atomic.Bool
		c.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) { // as Kafka answers; the fake hangs up
			c.KeepControl()
			response := request.ResponseKind().(*kmsg.SASLAuthenticateResponse)
			response.ErrorCode = kerr.SaslAuthenticationFailed.Code
			return response, nil, !allow.Load()
		})
		err := p.publish(t.Context(), []domain.Event{paid(1, 1)})
		if reasonOf(err) != ReasonUnauthorised || strings.Contains(err.Error(), "wrong") {
			t.Fatalf("got %v", err)
		}
		allow.Store(true)
		right := publisher(t, Options{Brokers: c.ListenAddrs(), Mechanism: "SCRAM-SHA-256", User: "boxoffice", Password: "right"})
		again(t, right, []domain.Event{paid(1, 1)})
	})
}

func TestImpossibleOptionsAreRefusedAtStart(t *testing.T) {
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"no broker":                  {Options{}, "KAFKA_BROKERS"},
		"no port":                    {Options{Brokers: []string{"kafka"}}, "KAFKA_BROKERS"},
		"no host":                    {Options{Brokers: []string{":9092"}}, "KAFKA_BROKERS"},
		"an invalid port":            {Options{Brokers: []string{"kafka:0"}}, "KAFKA_BROKERS"},
		"a prefix with a slash":      {Options{Brokers: []string{"kafka:9092"}, TopicPrefix: "a/"}, "KAFKA_TOPIC_PREFIX"},
		"an unknown mechanism":       {Options{Brokers: []string{"kafka:9092"}, Mechanism: "GSSAPI", User: "u", Password: "p"}, "KAFKA_SASL_MECHANISM"},
		"a password in the clear":    {Options{Brokers: []string{"kafka:9092"}, Mechanism: "PLAIN", User: "u", Password: "p"}, "KAFKA_TLS"},
		"a user without a mechanism": {Options{Brokers: []string{"kafka:9092"}, User: "u"}, "KAFKA_SASL_MECHANISM"},
		"no password":                {Options{Brokers: []string{"kafka:9092"}, Mechanism: "SCRAM-SHA-512", User: "u"}, "KAFKA_PASSWORD"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that names %s", err, c.want)
			}
		})
	}
}

// When a batch is retried, the events that the brokers already have are not sent again.
func TestWhatWasAcknowledgedIsNotSentAgain(t *testing.T) {
	c := cluster(t, bothTopics)
	p := publisher(t, Options{Brokers: c.ListenAddrs()})
	answers(c, kerr.TopicAuthorizationFailed.Code)
	first, second := paid(1, 1), paid(2, 2)
	if err := p.publish(t.Context(), []domain.Event{first}); err == nil {
		t.Fatal("want an error")
	}
	if err := p.publish(t.Context(), []domain.Event{first}); err != nil {
		t.Fatal(err)
	}
	// As if the call had failed after this was acknowledged.
	if refused, err := p.send(t.Context(), []domain.Event{second}, 1); err != nil || len(refused) > 0 {
		t.Fatal(refused, err)
	}
	p.settle([]domain.Event{second}, false)
	if err := p.publish(t.Context(), []domain.Event{second, paid(3, 2)}); err != nil {
		t.Fatal(err)
	}
	if got := len(stored(t, c.ListenAddrs(), "boxoffice.orders", 3)); got != 3 {
		t.Errorf("got %d records, want 3", got)
	}
}
