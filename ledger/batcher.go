package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
	"boxoffice/pace"
)

// Limits of the batcher.
const (
	// batchEventsMax is what one request of 1 MiB carries: 8,189 events of 128 bytes
	// (docs.tigerbeetle.com, "Requests"). The batcher learns smaller limits of a cluster.
	batchEventsMax = 8189
	// queueEventsMax limits how many events wait for each operation: about eight
	// requests.
	queueEventsMax = 8 * batchEventsMax
	// AnswerTimeout is how long a caller waits for the ledger by default.
	AnswerTimeout = 5 * time.Second

	overloadedRetryAfter = time.Second
)

// Op names an operation of the ledger, in metrics and logs.
type Op string

// The operations of a Batcher.
const (
	OpCreateAccounts      Op = "create_accounts"
	OpCreateTransfers     Op = "create_transfers"
	OpLookupAccounts      Op = "lookup_accounts"
	OpLookupTransfers     Op = "lookup_transfers"
	OpGetAccountTransfers Op = "get_account_transfers"
)

// Ops are all operations, for who counts them.
var Ops = []Op{OpCreateAccounts, OpCreateTransfers, OpLookupAccounts, OpLookupTransfers, OpGetAccountTransfers}

// A Request is what an Observer learns about one request to the ledger.
type Request struct {
	Op        Op
	Units     int           // callers that it served
	Events    int           // sum over its units
	QueueWait time.Duration // how long its oldest unit waited to be sent
	Took      time.Duration
	Err       error // nil, or what the client said
}

// An Observer is told what a Batcher does. Many goroutines call its methods, the last two
// under a lock: they must return at once.
type Observer interface {
	// Answered is called for every request that came back.
	Answered(Request)
	// Refused is called for every unit that was not sent: the queue was full, or the
	// caller's time was up while it was queued.
	Refused(Op)
	// Unanswered is called for every unit whose outcome is unknown because the answer did
	// not come in time.
	Unanswered(Op)
}

type noObserver struct{}

func (noObserver) Answered(Request) {}
func (noObserver) Refused(Op)       {}
func (noObserver) Unanswered(Op)    {}

type batcherConfig struct {
	queueEventsMax int
	unitsMax       int // in one request; 0: as many as fit
	answerTimeout  time.Duration
	observer       Observer
	logger         *slog.Logger
	dial           DialFunc
}

// A BatcherOption configures a Batcher.
type BatcherOption func(*batcherConfig)

// WithAnswerTimeout sets how long a caller waits for the ledger, including the queue, if
// its context does not end sooner. The default is AnswerTimeout.
func WithAnswerTimeout(d time.Duration) BatcherOption {
	return func(c *batcherConfig) { c.answerTimeout = d }
}

// WithQueueEventsMax limits how many events of an operation may wait.
func WithQueueEventsMax(n int) BatcherOption {
	return func(c *batcherConfig) { c.queueEventsMax = n }
}

// WithRequestUnitsMax limits how many units share a request, in addition to its size.
// Units in one request also share its fate: all are unknown if its answer is lost.
func WithRequestUnitsMax(n int) BatcherOption {
	return func(c *batcherConfig) { c.unitsMax = n }
}

// WithObserver tells o of every request.
func WithObserver(o Observer) BatcherOption {
	return func(c *batcherConfig) { c.observer = o }
}

// WithLogger replaces slog.Default.
func WithLogger(l *slog.Logger) BatcherOption {
	return func(c *batcherConfig) { c.logger = l }
}

// WithRedial lets the batcher replace a session that the cluster has evicted. Without it,
// an evicted batcher refuses everything.
func WithRedial(dial DialFunc) BatcherOption {
	return func(c *batcherConfig) { c.dial = dial }
}

// A Batcher shares one client of the ledger between all goroutines of a process. The
// client has one request out at a time, and a request costs about the same with one event
// or with thousands. So while one is out, the next collects.
//
// Each operation has a lane of its own. (The client puts the lanes' requests one behind
// the other, so each lane delays the others by a request. A single lane for all would
// have to cut a batch at every change of operation.)
//
// Every method fails in one of three ways:
//   - *domain.Error with CodeOverloaded: it was certainly not sent;
//   - another *domain.Error: it was refused for good, such as a unit that is too large
//     for any request;
//   - *domain.UnknownError: it was sent, and may be in the books or not. The client has
//     no request timeout, and a cluster that is gone never answers.
type Batcher struct {
	config    batcherConfig
	session   *session
	accounts  *lane[tb.Account, tb.CreateAccountResult]
	transfers *lane[tb.Transfer, tb.CreateTransferResult]
	lookupA   *lane[tb.Uint128, *tb.Account]
	lookupT   *lane[tb.Uint128, *tb.Transfer]
	queries   *lane[tb.AccountFilter, page]
}

// NewBatcher starts a batcher on a client, and owns that client from then on.
func NewBatcher(client tb.Client, options ...BatcherOption) *Batcher {
	b := &Batcher{config: batcherConfig{
		queueEventsMax: queueEventsMax,
		answerTimeout:  AnswerTimeout,
		observer:       noObserver{},
		logger:         slog.Default(),
	}}
	for _, o := range options {
		o(&b.config)
	}
	c := &b.config
	b.session = newSession(client, c.dial, c.logger)
	b.accounts = newLane(OpCreateAccounts, batchEventsMax, tb.Client.CreateAccounts, b.session, c)
	b.transfers = newLane(OpCreateTransfers, batchEventsMax, tb.Client.CreateTransfers, b.session, c)
	b.lookupA = newLane(OpLookupAccounts, batchEventsMax, lookupAccounts, b.session, c)
	b.lookupT = newLane(OpLookupTransfers, batchEventsMax, lookupTransfers, b.session, c)
	b.queries = newLane(OpGetAccountTransfers, 1, getAccountTransfers, b.session, c)
	go b.accounts.run()
	go b.transfers.run()
	go b.lookupA.run()
	go b.lookupT.run()
	go b.queries.run()
	return b
}

// CreateTransfers submits a unit: its transfers go into the same request, next to each
// other and in order. It returns one result a transfer. The last transfer must not be
// linked, and none may be imported: either would change the meaning of other callers'
// units in the same request.
func (b *Batcher) CreateTransfers(ctx context.Context, unit []tb.Transfer) ([]tb.CreateTransferResult, error) {
	for i := range unit {
		if err := checkFlags(OpCreateTransfers, unit[i].TransferFlags().Linked, unit[i].TransferFlags().Imported, i == len(unit)-1); err != nil {
			return nil, err
		}
	}
	return b.transfers.submit(ctx, unit)
}

// CreateAccounts submits a unit of accounts, under the rules of CreateTransfers.
func (b *Batcher) CreateAccounts(ctx context.Context, unit []tb.Account) ([]tb.CreateAccountResult, error) {
	for i := range unit {
		if err := checkFlags(OpCreateAccounts, unit[i].AccountFlags().Linked, unit[i].AccountFlags().Imported, i == len(unit)-1); err != nil {
			return nil, err
		}
	}
	return b.accounts.submit(ctx, unit)
}

func checkFlags(op Op, linked, imported, last bool) error {
	switch {
	case linked && last:
		return ourFault("%s: the last event of a unit is linked", op)
	case imported:
		return ourFault("%s: imported events are not supported", op)
	}
	return nil
}

// LookupAccounts returns one account for each id, nil if there is none.
func (b *Batcher) LookupAccounts(ctx context.Context, ids []tb.Uint128) ([]*tb.Account, error) {
	return b.lookupA.submit(ctx, ids)
}

// LookupTransfers returns one transfer for each id, nil if there is none.
func (b *Batcher) LookupTransfers(ctx context.Context, ids []tb.Uint128) ([]*tb.Transfer, error) {
	return b.lookupT.submit(ctx, ids)
}

// GetAccountTransfers returns one page. A limit above what the cluster answers in one
// reply is a *domain.Error whose cause is ErrTooMuchData.
func (b *Batcher) GetAccountTransfers(ctx context.Context, filter tb.AccountFilter) ([]tb.Transfer, error) {
	pages, err := b.queries.submit(ctx, []tb.AccountFilter{filter})
	if err != nil {
		return nil, err
	}
	return pages[0].transfers, pages[0].err
}

// lookupAccounts and the next functions turn TigerBeetle's sparse answers into what lanes
// need: one result an event.

func lookupAccounts(c tb.Client, ids []tb.Uint128) ([]*tb.Account, error) {
	found, err := c.LookupAccounts(ids)
	return align(ids, found, err, func(a *tb.Account) tb.Uint128 { return a.ID })
}

func lookupTransfers(c tb.Client, ids []tb.Uint128) ([]*tb.Transfer, error) {
	found, err := c.LookupTransfers(ids)
	return align(ids, found, err, func(t *tb.Transfer) tb.Uint128 { return t.ID })
}

func align[T any](ids []tb.Uint128, found []T, err error, idOf func(*T) tb.Uint128) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	byID := make(map[tb.Uint128]*T, len(found))
	for i := range found {
		byID[idOf(&found[i])] = &found[i]
	}
	results := make([]*T, len(ids))
	for i, id := range ids {
		results[i] = byID[id]
	}
	return results, nil
}

// A page is the answer to one query. If its limit is too high, that says nothing about
// how many events a request carries, so the lane must not learn from it.
type page struct {
	transfers []tb.Transfer
	err       error
}

func getAccountTransfers(c tb.Client, filters []tb.AccountFilter) ([]page, error) {
	transfers, err := c.GetAccountTransfers(filters[0])
	if errors.Is(err, tb.ErrTooMuchData) {
		return []page{{err: errUnitTooLarge(OpGetAccountTransfers, int(filters[0].Limit))}}, nil
	}
	return []page{{transfers: transfers}}, err
}

// Close sends what was accepted, waits for the answers and closes the client. Later
// submissions are refused. It returns within twice the answer timeout. The error says
// that requests were still out then; their callers got an unknown outcome.
func (b *Batcher) Close() error {
	lanes := []interface {
		close()
		ended() <-chan struct{}
	}{b.accounts, b.transfers, b.lookupA, b.lookupT, b.queries}
	for _, l := range lanes {
		l.close()
	}
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		for _, l := range lanes {
			<-l.ended()
		}
	}()
	// After this long every caller has its answer, known or not.
	if !pace.Within(flushed, b.config.answerTimeout) {
		b.session.end() // answers what is out
		if !pace.Within(flushed, b.config.answerTimeout) {
			return fmt.Errorf("close the ledger batcher: a request is still out after %v", 2*b.config.answerTimeout)
		}
		return &domain.UnknownError{Op: "close", ID: "batcher", Err: errNoAnswer}
	}
	b.session.end()
	return nil
}
