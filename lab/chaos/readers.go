package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"boxoffice/client"
	"boxoffice/pace"
)

// Those who hear of what happened, outside of the box office: a receiver of webhooks, a broker, a folder of mails. They are
// cut off, they misbehave, and at the end each must have heard of every event: once, or again under the same id.
type readers struct {
	w        *world
	receiver *http.Server
	broker   *kfake.Cluster // nil: an Apache Kafka of the stack
	endpoint string         // as it is registered
	since    time.Time      // of when: it hears of nothing before
	webhooks *hearing

	mu       sync.Mutex
	rng      *rand.Rand
	isUnruly bool // the receiver answers 500, hangs up, or both after it has heard
}

// hearWithin is how long readers have to hear of everything once faults end: a lease that a killed process holds, and the
// longest wait after failures.
const hearWithin = 4 * time.Minute

// mailEvery is added for each event: a node hands over ten mails a second (BOXOFFICE_MAIL_RATE), fewer while buyers wait.
const mailEvery = time.Second / 10

// listenForEvents starts the receiver and, unless the stack has one, a broker.
func listenForEvents(w *world, kafkaAddress, receiverAddress string) (*readers, error) {
	r := &readers{w: w, webhooks: newHearing(), rng: rand.New(rand.NewPCG(w.seed, 4)), isUnruly: true}
	listener, err := net.Listen("tcp", receiverAddress)
	if err != nil {
		return nil, err
	}
	r.receiver = &http.Server{Handler: http.HandlerFunc(r.receive), ReadHeaderTimeout: callTimeout}
	go func() { _ = r.receiver.Serve(listener) }()
	if w.kafka {
		return r, nil
	}
	proxy := w.links.byName[toKafka].proxy.Listen
	r.broker, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, topics...), kfake.ListenFn(func(network, _ string) (net.Listener, error) {
		listener, err := net.Listen(network, kafkaAddress)
		return behindProxy{listener, proxy}, err
	}))
	return r, err
}

// behindProxy is a listener that says that it listens where the proxy does: that is the address a broker tells its clients.
type behindProxy struct {
	net.Listener
	proxy string
}

func (l behindProxy) Addr() net.Addr {
	address, err := net.ResolveTCPAddr("tcp", l.proxy)
	if err != nil {
		return l.Listener.Addr()
	}
	return address
}

func (r *readers) close() {
	if r == nil {
		return
	}
	_ = r.receiver.Close()
	if r.broker != nil {
		r.broker.Close()
	}
}

// register has the organiser register the receiver, for everything. Registered again it is the same.
func (r *readers) register(ctx context.Context) error {
	if r.endpoint != "" {
		return nil
	}
	body := &client.CreateWebhookEndpointBody{URL: "http://" + r.w.links.byName[toReceiver].proxy.Listen + "/events"}
	return insist(ctx, func(ctx context.Context) error {
		created, err := r.w.client.organiser.CreateWebhookEndpoint(ctx, body)
		if err == nil {
			r.endpoint, r.since = created.ID, created.CreatedAt
		}
		return err
	})
}

// behave ends the receiver's mischief, and has the organiser say so: what waits for it is due at once.
func (r *readers) behave(ctx context.Context) error {
	r.mu.Lock()
	r.isUnruly = false
	r.mu.Unlock()
	on := true
	return insist(ctx, func(ctx context.Context) error {
		_, err := r.w.client.organiser.ChangeWebhookEndpoint(ctx, r.endpoint, &client.ChangeWebhookEndpointBody{Enabled: &on})
		return err
	})
}

// toHear is what the receiver is told of: what happened since it is registered.
func (r *readers) toHear(log []client.EventView) (list []client.EventView) {
	for _, e := range log {
		if !e.OccurredAt.Before(r.since) {
			list = append(list, e)
		}
	}
	return list
}

func (r *readers) receive(out http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	dice := 100
	if r.isUnruly {
		dice = r.rng.IntN(100)
	}
	r.mu.Unlock()
	if dice >= 5 { // else it refuses before it has heard
		r.webhooks.hear(body)
	}
	switch {
	case dice < 10:
		out.WriteHeader(http.StatusInternalServerError)
	case dice < 15:
		panic(http.ErrAbortHandler) // it hangs up
	}
}

// A hearing is all that one of them heard.
type hearing struct {
	mu     sync.Mutex
	events map[string][sha256.Size]byte // what was said, by the event's id
	firsts map[string][]string          // ids of a subject's events, each when it came first
	copies int
	wrong  []string
}

func newHearing() *hearing {
	return &hearing{events: map[string][sha256.Size]byte{}, firsts: map[string][]string{}}
}

type eventHead struct{ ID, Type, Sale, Order string }

// subject is what events stay in order of.
func (e eventHead) subject() string {
	switch {
	case e.Order != "":
		return e.Order
	case e.Sale != "":
		return e.Sale
	default:
		return e.Type
	}
}

func (h *hearing) hear(body []byte) {
	var e eventHead
	err := json.Unmarshal(body, &e)
	h.mu.Lock()
	defer h.mu.Unlock()
	said, known := h.events[e.ID]
	switch sum := sha256.Sum256(body); {
	case err != nil || e.ID == "":
		h.wrong = append(h.wrong, fmt.Sprintf("heard what is no event: %.200q", body))
	case known && said != sum:
		h.wrong = append(h.wrong, fmt.Sprintf("event %s came again as another: %.500s", e.ID, body))
	case known:
		h.copies++
	default:
		h.events[e.ID] = sum
		h.firsts[e.subject()] = append(h.firsts[e.subject()], e.ID)
	}
}

func (h *hearing) has(log []client.EventView) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range log {
		if _, heard := h.events[log[i].ID]; !heard {
			return false
		}
	}
	return true
}

// violations compares what was heard with the log: nothing lost, nothing that is not in it, each subject in its order.
func (h *hearing) violations(reader string, log []client.EventView) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, what := range h.wrong {
		list = append(list, reader+" "+what)
	}
	told, want := map[string]bool{}, map[string][]string{}
	for _, e := range log {
		told[e.ID] = true
		subject := eventHead{e.ID, e.Type, e.Sale, e.Order}.subject()
		want[subject] = append(want[subject], e.ID)
		if _, heard := h.events[e.ID]; !heard {
			list = append(list, fmt.Sprintf("%s never heard of %s %s of order %q", reader, e.Type, e.ID, e.Order))
		}
	}
	for id := range h.events {
		if !told[id] {
			list = append(list, fmt.Sprintf("%s heard of %s, which is not in the log", reader, id))
		}
	}
	for _, subject := range slices.Sorted(maps.Keys(want)) {
		if got := h.firsts[subject]; len(list) == 0 && !slices.Equal(got, want[subject]) {
			list = append(list, fmt.Sprintf("%s heard of %s as %v, it happened as %v", reader, subject, got, want[subject]))
		}
	}
	return list
}

// A hearingCount is for the report.
type hearingCount struct {
	Reader string `json:"reader"`
	Events int    `json:"events"`
	Copies int    `json:"copies"`
}

func (h *hearing) count(reader string) hearingCount {
	h.mu.Lock()
	defer h.mu.Unlock()
	return hearingCount{reader, len(h.events), h.copies}
}

var topics = []string{"boxoffice.orders", "boxoffice.sales"}

// proveReaders waits until everybody has heard of everything, and holds it against the log, and the log against what buyers
// were told.
func (w *world) proveReaders(ctx context.Context, r *report) error {
	reading, done := context.WithTimeout(ctx, hearWithin)
	defer done()
	log, err := w.eventLog(reading)
	if err != nil {
		return fmt.Errorf("read the log of events: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, hearWithin+time.Duration(len(log))*mailEvery)
	defer cancel()
	for !w.readers.webhooks.has(w.readers.toHear(log)) && pace.Pause(ctx, auditEvery) == nil {
	}
	broker, err := w.consume(ctx, log)
	if err != nil {
		return fmt.Errorf("read Kafka: %w", err)
	}
	mails, err := w.awaitMails(ctx)
	if err != nil {
		return fmt.Errorf("read the mails: %w", err)
	}
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancelLast()
	if log, err = w.eventLog(last); err != nil { // with what came meanwhile, such as a finding of the audit
		return fmt.Errorf("read the log of events: %w", err)
	}
	violations := slices.Concat(
		w.readers.webhooks.violations("the webhooks' receiver", w.readers.toHear(log)), broker.violations("Kafka", log), mailViolations(mails, w.mailFiles(), log))
	for _, l := range r.loads {
		violations = append(violations, l.record.eventViolations(log)...)
	}
	r.Broken = append(r.Broken, violations...)
	r.Events = len(log)
	sent := 0
	for _, m := range mails {
		if m.state == "sent" {
			sent++
		}
	}
	r.Heard = []hearingCount{w.readers.webhooks.count("webhooks"), broker.count("Kafka"), {"mail", sent, 0}}
	w.log.printf("readers: %s; %d contradictions", r.heard(), len(violations))
	return nil
}

// eventLog is all of it, as the organiser reads it.
func (w *world) eventLog(ctx context.Context) (log []client.EventView, err error) {
	for after, more := "", true; more; {
		var page client.EventsView
		err := insist(ctx, func(ctx context.Context) (err error) {
			page, err = w.client.organiser.ListEvents(ctx, client.ListEventsParams{After: after})
			return err
		})
		if err != nil {
			return nil, err
		}
		log, after, more = append(log, page.Events...), page.Next, page.More
	}
	return log, nil
}

// consume reads the broker from the beginning until it has the log's events, or the time is over.
func (w *world) consume(ctx context.Context, log []client.EventView) (*hearing, error) {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(w.links.byName[toKafka].proxy.Listen), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	h := newHearing()
	// Once more when all of it is there: what was published later is not to be missed.
	for late := false; ; {
		polling, cancel := context.WithTimeout(ctx, auditEvery)
		fetches := consumer.PollFetches(polling)
		cancel()
		fetches.EachRecord(func(record *kgo.Record) {
			h.hear(record.Value)
			h.check(record)
		})
		if done := h.has(log); ctx.Err() != nil || done && late && fetches.NumRecords() == 0 {
			return h, nil
		} else if done {
			late = true
		}
	}
}

// check compares a record's key and headers with its value.
func (h *hearing) check(record *kgo.Record) {
	var e struct {
		eventHead
		Schema int
	}
	_ = json.Unmarshal(record.Value, &e) // hear says it
	want := map[string]string{"id": e.ID, "type": e.Type, "schema": strconv.Itoa(e.Schema)}
	got := map[string]string{}
	for _, header := range record.Headers {
		got[header.Key] = string(header.Value)
	}
	key, _, _ := strings.Cut(e.subject(), ".")
	if string(record.Key) != key || !maps.Equal(got, want) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.wrong = append(h.wrong, fmt.Sprintf("has event %s under the key %q with headers %v", e.ID, record.Key, got))
	}
}

// A mailRow is a mail as the database has it.
type mailRow struct{ id, kind, state, order string }

// awaitMails waits until none is due, or the time is over: then the last look counts.
func (w *world) awaitMails(ctx context.Context) (mails []mailRow, err error) {
	err = errors.New("there was no time for it")
	for {
		found, failed := w.readMails(ctx)
		switch {
		case failed == nil && !slices.ContainsFunc(found, func(m mailRow) bool { return m.state == "due" }):
			return found, nil
		case failed == nil:
			mails, err = found, nil
		case mails == nil:
			err = failed
		}
		if pace.Pause(ctx, auditEvery) != nil {
			return mails, err
		}
	}
}

func (w *world) readMails(ctx context.Context) ([]mailRow, error) {
	conn, err := pgx.Connect(ctx, w.env["DATABASE_URL"])
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT id, kind, state, replace(order_id::text, '-', '') FROM mails WHERE order_id IS NOT NULL`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m mailRow, err error) {
		return m, row.Scan(&m.id, &m.kind, &m.state, &m.order)
	})
}

// mailFiles are the mails that were sent: a file each.
func (w *world) mailFiles() map[string]bool {
	files := map[string]bool{}
	entries, err := os.ReadDir(filepath.Join(w.data(), "mail"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		if id, is := strings.CutSuffix(entry.Name(), ".eml"); is {
			files[id] = true
		}
	}
	return files
}

// mailKinds are the mails that events call for.
var mailKinds = map[string]string{"order.paid": "tickets", "order.refund_begun": "refund_begun", "order.refunded": "refunded"}

// mailViolations: each event that calls for a mail has one, which was sent, or was not true any more when its turn came.
func mailViolations(mails []mailRow, files map[string]bool, log []client.EventView) (list []string) {
	want := map[string]mailRow{}
	for _, e := range log {
		if kind, calls := mailKinds[e.Type]; calls {
			want[e.ID] = mailRow{id: e.ID, kind: kind, order: e.Order}
		}
	}
	seen := map[string]bool{}
	for _, m := range mails {
		seen[m.id] = true
		switch w, known := want[m.id]; {
		case !known:
			list = append(list, fmt.Sprintf("mail %s is of no event in the log", m.id))
		case m.kind != w.kind || m.order != w.order:
			list = append(list, fmt.Sprintf("mail %s is %s about order %s, its event calls for %s about %s", m.id, m.kind, m.order, w.kind, w.order))
		case m.state != "sent" && m.state != "needless":
			list = append(list, fmt.Sprintf("mail %s of order %s is %s", m.id, m.order, m.state))
		case m.state == "sent" && !files[m.id]:
			list = append(list, fmt.Sprintf("mail %s of order %s was sent, and nobody has it", m.id, m.order))
		}
	}
	for id := range want {
		if !seen[id] {
			list = append(list, fmt.Sprintf("event %s of order %s has no mail", id, want[id].order))
		}
	}
	for id := range files {
		if _, known := want[id]; !known && strings.HasPrefix(id, "evt_") {
			list = append(list, fmt.Sprintf("a mail was sent as %s, which is no event that calls for one", id))
		}
	}
	return list
}

// eventViolations says in what the log contradicts what the orders came to.
func (r *record) eventViolations(log []client.EventView) (list []string) {
	of := map[string]map[string]int{}
	for _, e := range log {
		if of[e.Order] == nil {
			of[e.Order] = map[string]int{}
		}
		of[e.Order][e.Type]++
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, order := range slices.Sorted(maps.Keys(r.final)) {
		if what := eventsContradict(r.final[order], of[order]); what != "" {
			list = append(list, fmt.Sprintf("order %s is %s and %s: %v", order, r.final[order], what, of[order]))
		}
	}
	return list
}

// eventsContradict: an order's events by type must be those of how it ended.
func eventsContradict(status string, events map[string]int) string {
	paid, begun, refunded := events["order.paid"], events["order.refund_begun"], events["order.refunded"]
	switch {
	case paid > 1 || begun > 1 || refunded > 1:
		return "has an event twice"
	case status == "paid" && (paid != 1 || begun+refunded > 0):
		return "its events are not those of a paid order"
	case status == "refunded" && paid == 1 && (begun != 1 || refunded != 1):
		return "its events are not those of a refunded order"
	case status == "refunded" && paid == 0 && (events["payment.refunded"] == 0 || begun+refunded > 0):
		return "its events are not those of a payment that bought nothing"
	case status != "paid" && status != "refunded" && paid+begun+refunded > 0:
		return "it has events of an order that was paid"
	}
	return ""
}
