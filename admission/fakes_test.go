package admission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"boxoffice/admission/admissiontest"
	"boxoffice/domain"
)

const testKey = "0198c0de-0000-7000-8000-000000000001"

// world is a fake of everything that an Admission uses. Its payments know no order.
type world struct{ *admissiontest.World }

// callOff is CallOff for callers that do not hold Mu.
func (w *world) callOff(id string) {
	w.Mu.Lock()
	defer w.Mu.Unlock()
	w.CallOff(id, time.Now())
}

func (w *world) Pay(context.Context, domain.PaymentEvent) (domain.PayResult, error) {
	return domain.PayResult{}, domain.NotFound("order")
}

// rooms admit every token that they gave out.
type rooms struct {
	mu   sync.Mutex
	keys map[string]string
}

// admitted is a token that may check out.
func (r *rooms) admitted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.keys)
	token := fmt.Sprintf("token-%d", n)
	r.keys[token] = fmt.Sprintf("0198c0de-0000-7000-8000-%012d", n)
	return token
}

func (r *rooms) Enter(_ context.Context, _ *domain.Sale, token string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key, ok := r.keys[token]; ok {
		return key, nil
	}
	return "", &domain.Error{Code: domain.CodeQueueRequired}
}

// bundle is one Admission over one world, with a sale of classes A and B on offer, and one, "rush", with
// a waiting room.
type bundle struct {
	t     testing.TB
	world *world
	sale  *domain.Sale
	adm   *Admission
}

func setup(t testing.TB, change ...func(*Options)) *bundle {
	t.Helper()
	keys, err := domain.NewKeyring(bytes.Repeat([]byte{7}, domain.ServerKeyLen))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{admissiontest.NewWorld(keys)}
	sale := w.AddSale(&domain.Sale{
		ID: "conference", Name: "Conference", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute,
		Classes:   []domain.Class{{Name: "A", PriceMinor: 6500, Capacity: 5}, {Name: "B", PriceMinor: 3500, Capacity: 50}},
		Perk:      &domain.Perk{Name: "T-shirt", Capacity: 3},
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	w.AddSale(&domain.Sale{
		ID: "rush", Name: "Rush", Currency: "EUR", BuyerLimit: 10, HoldTimeout: time.Minute, WaitingRoom: true,
		Classes: []domain.Class{{Name: "A", PriceMinor: 1, Capacity: 5}}, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	})
	w.Opened["conference"], w.Opened["rush"] = true, true
	return newNode(t, w, sale, change...)
}

// newNode is another Admission over a world. change may put something between them.
func newNode(t testing.TB, w *world, sale *domain.Sale, change ...func(*Options)) *bundle {
	t.Helper()
	options := Options{
		Desk: w, Catalog: NewCatalog(w, w), Books: w, Keys: w.Keys, InLineMax: InLineMax,
		Meter: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&options)
	}
	adm, err := New(options)
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{t: t, world: w, sale: sale, adm: adm}
}

// roomSetup is setup with waiting rooms.
func roomSetup(t testing.TB) (*bundle, *rooms) {
	t.Helper()
	r := &rooms{keys: map[string]string{}}
	return setup(t, func(o *Options) { o.Rooms = r }), r
}

// A wanted is what a checkout asks for.
type wanted struct {
	items []domain.Item
	email string
}

func wish(class string, quantity int64) wanted {
	return wanted{[]domain.Item{{Class: class, Quantity: quantity}}, "buyer-7@example.org"}
}

func wishOf(email string, quantity int64) wanted {
	return wanted{[]domain.Item{{Class: "A", Quantity: quantity}}, email}
}

// checkout asks for tickets as the API does: the short way first, and the whole way if that has no answer.
func (b *bundle) checkout(key string, w wanted) (Answer, error) {
	return b.ask(Request{SaleID: b.sale.ID, Key: key, Items: w.items, Email: w.email})
}

// byToken checks out in sale rush. Each request has a different key, which must not matter.
func (b *bundle) byToken(token string, w wanted) (Answer, error) {
	return b.ask(Request{SaleID: "rush", Key: uuid.NewString(), QueueToken: token, Items: w.items, Email: w.email})
}

func (b *bundle) ask(r Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(b.t.Context(), RequestTimeout)
	defer cancel()
	if err := b.adm.RefuseAtOnce(ctx, &r); err != nil {
		return Answer{}, err
	}
	return b.adm.Hold(ctx, r)
}

// refusal is why a checkout was refused; nil if it was not.
func (b *bundle) refusal(key string, w wanted) error {
	_, err := b.checkout(key, w)
	return err
}

// wantRefusal wants an error with a code.
func wantRefusal(t testing.TB, err error, code domain.Code) *domain.Error {
	t.Helper()
	if err == nil || domain.CodeOf(err) != code {
		t.Errorf("%v, want %s", err, code)
	}
	var definite *domain.Error
	if !errors.As(err, &definite) {
		definite = &domain.Error{}
	}
	return definite
}

func wantHeld(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("refused: %v", err)
	}
}

func retryAfterOf(err error) time.Duration {
	var definite *domain.Error
	if errors.As(err, &definite) {
		return definite.RetryAfter
	}
	return 0
}

func (b *bundle) stockOf(class int, held, sold int64) {
	b.world.SetStock(b.sale.Classes[class].Ledger, held, sold)
}

func (b *bundle) startsNow() int {
	b.world.Mu.Lock()
	defer b.world.Mu.Unlock()
	return b.world.Starts
}

func waitFor(t testing.TB, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the condition did not come true")
		}
	}
}

// slowDesk takes this long to place an order, unless it is told to stop.
type slowDesk struct {
	Desk
	takes time.Duration
}

func (d slowDesk) Start(ctx context.Context, order domain.Order) (domain.HoldAnswer, error) {
	select {
	case <-ctx.Done():
		return domain.HoldAnswer{}, context.Cause(ctx)
	case <-time.After(d.takes):
		return d.Desk.Start(ctx, order)
	}
}
