// Package kafka publishes the event log to Apache Kafka: a topic for each kind of subject,
// a record for each event, keyed by the order or the sale that it is about.
package kafka

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/sync/semaphore"

	"boxoffice/domain"
	"boxoffice/notify"
	"boxoffice/tracing"
)

// Name is the reader's name: its cursors are stored under it.
const Name = "kafka"

// TopicPrefixDefault is the default prefix of topic names.
const TopicPrefixDefault = "boxoffice."

// Options say where the brokers are and how we log in.
type Options struct {
	Brokers     []string // host:port of some brokers
	TopicPrefix string
	TLS         *tls.Config // nil: no TLS
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; empty: no login.
	Mechanism      string
	User, Password string
	// CreateTopics lets the brokers create missing topics, with their defaults.
	CreateTopics bool
	// Failed is called for each failure, for a metric; nil: not called.
	Failed func(Reason)
	// Tracer says which orders' records have a traceparent; nil: none.
	Tracer *tracing.Tracer

	deliveryTimeout time.Duration // for tests; 0: deliveryTimeout
}

// Bounds of the client. A call of the reader ends before its lease. A record that was never sent is given up before the call
// ends, so that the error says why.
const (
	callTimeout     = 30 * time.Second
	deliveryTimeout = 15 * time.Second
	produceTimeout  = 10 * time.Second // the brokers', for all in-sync replicas
	requestOverhead = 5 * time.Second
	dialTimeout     = 5 * time.Second
	retryTimeout    = 10 * time.Second
	metadataMinAge  = time.Second
	metadataMaxAge  = time.Minute

	batchEventsMax   = 500
	batchBytesMax    = 512 << 10
	recordsMax       = 16 * 1024 // records that wait for an answer; there are 8 shards of batchEventsMax
	bufferedBytesMax = 32 << 20
	recordBytesMax   = 256 << 10 // an event has about 1 kB
	ackedFor         = 10 * time.Minute
	callsMax         = 1024
)

var (
	prefixPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]{0,200}$`)
	mechanisms    = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
)

// Validate says what is wrong with the options, naming the environment variables.
func (o *Options) Validate() error {
	var problems []error
	if len(o.Brokers) == 0 {
		problems = append(problems, errors.New("KAFKA_BROKERS: want host:port, several separated by commas"))
	}
	for _, broker := range o.Brokers {
		host, port, found := cutPort(broker)
		if n, err := strconv.ParseUint(port, 10, 16); !found || host == "" || err != nil || n == 0 {
			problems = append(problems, fmt.Errorf("KAFKA_BROKERS: %q is not host:port", broker))
		}
	}
	if !prefixPattern.MatchString(o.TopicPrefix) {
		problems = append(problems, errors.New("KAFKA_TOPIC_PREFIX: want at most 200 letters, digits, dots, hyphens and underscores"))
	}
	if _, err := o.mechanism(); err != nil {
		problems = append(problems, err)
	}
	switch {
	case o.Mechanism == "" && (o.User != "" || o.Password != ""):
		problems = append(problems, errors.New("KAFKA_SASL_MECHANISM is not set, but KAFKA_USER or KAFKA_PASSWORD is"))
	case o.Mechanism != "" && (o.User == "" || o.Password == ""):
		problems = append(problems, errors.New("KAFKA_SASL_MECHANISM needs KAFKA_USER and KAFKA_PASSWORD"))
	case o.Mechanism == "PLAIN" && o.TLS == nil:
		problems = append(problems, errors.New("KAFKA_SASL_MECHANISM: PLAIN sends the password in the clear: turn KAFKA_TLS on, or use SCRAM-SHA-512"))
	}
	return errors.Join(problems...)
}

func cutPort(address string) (host, port string, found bool) {
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return "", "", false
	}
	return address[:i], address[i+1:], true
}

func (o *Options) mechanism() (sasl.Mechanism, error) {
	switch o.Mechanism {
	case "":
		return nil, nil
	case "PLAIN":
		return plain.Auth{User: o.User, Pass: o.Password}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: o.User, Pass: o.Password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: o.User, Pass: o.Password}.AsSha512Mechanism(), nil
	default:
		return nil, fmt.Errorf("KAFKA_SASL_MECHANISM: want %s", strings.Join(mechanisms, ", "))
	}
}

// A Publisher is a client of the brokers, with the records that are in flight.
type Publisher struct {
	prefix string
	failed func(Reason)
	tracer *tracing.Tracer
	client *kgo.Client
	seen   atomic.Pointer[seen] // the last error of a connection

	// Each call holds calls for reading. A call that must be alone holds it for writing.
	calls *semaphore.Weighted

	mu         sync.Mutex
	deliveries map[domain.EventID]*delivery
}

// A delivery is an event that the client was given. While its outcome is unknown, another attempt waits for it instead of sending
// the event twice. When a batch is retried, the events that the brokers already have are not sent again.
type delivery struct {
	done chan struct{}
	err  error     // once done
	at   time.Time // when it was done
}

// New makes a Publisher. It does not wait for a broker.
func New(o Options) (*Publisher, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	p := &Publisher{
		prefix: o.TopicPrefix, failed: o.Failed, tracer: o.Tracer,
		calls: semaphore.NewWeighted(callsMax), deliveries: make(map[domain.EventID]*delivery),
	}
	if p.failed == nil {
		p.failed = func(Reason) {}
	}
	wait := o.deliveryTimeout
	if wait == 0 {
		wait = deliveryTimeout
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(o.Brokers...),
		kgo.ClientID("boxoffice"),
		kgo.RequiredAcks(kgo.AllISRAcks()), // and idempotent, which is the client's default
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProduceRequestTimeout(produceTimeout),
		kgo.RecordDeliveryTimeout(wait),
		kgo.RequestTimeoutOverhead(requestOverhead),
		kgo.DialTimeout(dialTimeout),
		kgo.RetryTimeout(retryTimeout),
		kgo.MetadataMinAge(metadataMinAge),
		kgo.MetadataMaxAge(metadataMaxAge),
		kgo.UnknownTopicRetries(2),
		kgo.MaxBufferedRecords(recordsMax),
		kgo.MaxBufferedBytes(bufferedBytesMax),
		kgo.ProducerBatchMaxBytes(batchBytesMax),
		kgo.ProducerLinger(0), // a call has all its events at once
		kgo.WithHooks(p),
	}
	if o.TLS != nil {
		options = append(options, kgo.DialTLSConfig(o.TLS))
	}
	if mechanism, _ := o.mechanism(); mechanism != nil {
		options = append(options, kgo.SASL(mechanism))
	}
	if o.CreateTopics {
		options = append(options, kgo.AllowAutoTopicCreation())
	}
	var err error
	if p.client, err = kgo.NewClient(options...); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	return p, nil
}

// Close drops the records in flight: what was not acknowledged is read from the log again.
func (p *Publisher) Close() { p.client.Close() }

// Reader publishes every event, including types of later releases.
func (p *Publisher) Reader() notify.Reader {
	return notify.Reader{Name: Name, BatchMax: batchEventsMax, Timeout: callTimeout, Handle: p.publish}
}

// publish returns nil once the brokers have all of them.
func (p *Publisher) publish(ctx context.Context, events []domain.Event) error {
	err := p.publishAll(ctx, events)
	p.settle(events, err == nil)
	if err != nil && !errors.Is(err, context.Canceled) {
		p.failed(reasonOf(err))
	}
	return err
}

func (p *Publisher) publishAll(ctx context.Context, events []domain.Event) error {
	for len(events) > 0 {
		n := wave(events)
		if err := p.publishWave(ctx, events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// wave is the number of leading events that are about different subjects. They go together, and the next ones go after these have
// arrived: a later record must not overtake a refused one of its subject.
func wave(events []domain.Event) int {
	subjects := make(map[string]bool, len(events))
	for i := range events {
		subject := events[i].Subject()
		if subjects[subject] {
			return i
		}
		subjects[subject] = true
	}
	return len(events)
}

func (p *Publisher) publishWave(ctx context.Context, events []domain.Event) error {
	suspects, err := p.send(ctx, events, 1)
	if err != nil || len(suspects) == 0 {
		return err
	}
	// Brokers refuse whole batches. To see which record is at fault, we send each one alone.
	for i := range suspects {
		p.settle(suspects[i:i+1], false)
		refused, err := p.send(ctx, suspects[i:i+1], callsMax)
		if err != nil {
			return err
		}
		if len(refused) > 0 {
			return notify.Refused(p.deliveryError(&refused[0]))
		}
	}
	return nil
}

// send gives the events to the client and waits. It returns the events that are at fault themselves, unless something else is wrong.
func (p *Publisher) send(ctx context.Context, events []domain.Event, share int64) (refused []domain.Event, err error) {
	if err := p.calls.Acquire(ctx, share); err != nil {
		return nil, p.explain(err, "")
	}
	defer p.calls.Release(share)
	deliveries := make([]*delivery, len(events))
	for i := range events {
		if deliveries[i], err = p.deliver(ctx, &events[i]); err != nil {
			return nil, err
		}
	}
	var failure error
	for i, d := range deliveries {
		select {
		case <-d.done:
		case <-ctx.Done():
			return nil, p.explain(ctx.Err(), p.topic(&events[i]))
		}
		switch {
		case d.err == nil:
		case isRefusal(d.err):
			refused = append(refused, events[i])
		case failure == nil:
			failure = p.explain(d.err, p.topic(&events[i]))
		}
	}
	return refused, failure
}

// deliver gives an event to the client, unless it has it already.
func (p *Publisher) deliver(ctx context.Context, e *domain.Event) (*delivery, error) {
	record, err := p.record(e)
	if err != nil {
		return nil, notify.Refused(err)
	}
	p.mu.Lock()
	if known := p.deliveries[e.ID]; known != nil && !known.isOld() {
		p.mu.Unlock()
		return known, nil
	}
	if len(p.deliveries) >= recordsMax {
		p.sweep()
	}
	if len(p.deliveries) >= recordsMax {
		p.mu.Unlock()
		return nil, p.explain(errors.New("too many records wait for an answer"), record.Topic)
	}
	d := &delivery{done: make(chan struct{})}
	p.deliveries[e.ID] = d
	p.mu.Unlock()
	if len(record.Value) > recordBytesMax {
		d.err = fmt.Errorf("%w: %d bytes, at most %d", errTooLarge, len(record.Value), recordBytesMax)
		close(d.done)
		return d, nil
	}
	// Not with the call's context: a record in flight cannot be recalled, and the next attempt waits for it.
	p.client.TryProduce(context.WithoutCancel(ctx), record, func(_ *kgo.Record, err error) {
		p.mu.Lock()
		d.err, d.at = err, time.Now()
		p.mu.Unlock()
		if err == nil {
			p.seen.Store(nil)
		}
		close(d.done)
	})
	return d, nil
}

// settle forgets the outcomes of the events' deliveries: all of them if the call is done, else those that failed.
func (p *Publisher) settle(events []domain.Event, done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range events {
		d := p.deliveries[events[i].ID]
		if d == nil {
			continue
		}
		select {
		case <-d.done:
			if done || d.err != nil {
				delete(p.deliveries, events[i].ID)
			}
		default:
		}
	}
}

// isOld reports whether a delivery is too old to count: whoever sends its event now is replaying the log.
func (d *delivery) isOld() bool {
	select {
	case <-d.done:
		return d.err != nil || time.Since(d.at) > ackedFor
	default:
		return false
	}
}

// sweep forgets deliveries whose events nobody will send here again: another node has them.
func (p *Publisher) sweep() {
	for id, d := range p.deliveries {
		if d.isOld() {
			delete(p.deliveries, id)
		}
	}
}

func (p *Publisher) deliveryError(e *domain.Event) error {
	p.mu.Lock()
	d := p.deliveries[e.ID]
	p.mu.Unlock()
	if d == nil {
		return errTooLarge
	}
	return fmt.Errorf("kafka: topic %s refuses the record: %w", p.topic(e), d.err)
}

// Headers of a record. They repeat fields of the value, for consumers that filter by them.
const (
	HeaderID     = "id"
	HeaderType   = "type"
	HeaderSchema = "schema"
)

func (p *Publisher) record(e *domain.Event) (*kgo.Record, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("kafka: event %s is not JSON: %w", e.ID, err)
	}
	// The timestamp is the time of producing, because retention goes by it: an old event would be deleted at once.
	record := &kgo.Record{
		Topic: p.topic(e), Key: []byte(key(e)), Value: value,
		Headers: []kgo.RecordHeader{
			{Key: HeaderID, Value: []byte(e.ID.String())},
			{Key: HeaderType, Value: []byte(e.Type)},
			{Key: HeaderSchema, Value: []byte(strconv.Itoa(e.Schema))},
		},
	}
	if parent := p.tracer.TraceParent(e.Order); parent != "" {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: tracing.HeaderTraceParent, Value: []byte(parent)})
	}
	return record, nil
}

// topic goes by what the event is about, not by its type. So all events of a subject are in one topic, and types that this
// release does not know have one too.
func (p *Publisher) topic(e *domain.Event) string {
	if e.Order.IsZero() {
		return p.prefix + Topic(domain.SubjectSale)
	}
	return p.prefix + Topic(domain.SubjectOrder)
}

// Topic is the name of a kind's topic, without the prefix.
func Topic(kind domain.SubjectKind) string { return string(kind) + "s" }

// key keeps the events of a subject in one partition. Audit findings about no sale share a partition too.
func key(e *domain.Event) string {
	if subject := e.Subject(); subject != "" {
		return subject
	}
	kind, _, _ := strings.Cut(string(e.Type), ".")
	return kind
}
