package restore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"boxoffice/domain"
	"boxoffice/pace"
)

// EmptyLedger is a ledger that was put back to an earlier moment, or is new. Nobody else may
// use it while it is brought up to date: it would sell seats that are sold.
type EmptyLedger interface {
	OpenSale(ctx context.Context, sale *domain.Sale) error
	ChangeCapacity(ctx context.Context, c *domain.CapacityChange) (done bool, err error)
	Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
	Bookings(ctx context.Context, ledger uint32) ([]domain.StockUse, error)
	Quota(ctx context.Context, sale *domain.Sale, ledger uint32) (domain.Quota, error)
	SeatFates(ctx context.Context, orders []domain.OrderID) (map[domain.OrderID]domain.SeatFate, error)
	Post(ctx context.Context, o *domain.Order) (domain.PostOutcome, error)
	Void(ctx context.Context, o *domain.Order) (domain.VoidOutcome, error)
	Rebook(ctx context.Context, o *domain.Order) (domain.RebookOutcome, error)
	TakePerk(ctx context.Context, o *domain.Order) (bool, error)
	Return(ctx context.Context, o *domain.SoldOrder) error
	Drain(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
	MakeCodes(ctx context.Context, sale *domain.Sale, codes []domain.ClassCodeID, only uint32, uses int64) (isNew []bool, err error)
	RevokeCodes(ctx context.Context, sale *domain.Sale, codes []domain.ClassCodeID) (isNew []bool, err error)
	ClassCodeQuota(ctx context.Context, sale *domain.Sale) (domain.ClassCodeQuota, error)
}

// Records is the orders database, which lost nothing.
type Records interface {
	Sales(ctx context.Context) ([]*domain.Sale, error)
	// ChangedCapacities are the changes of a sale's capacities that were made, the first first.
	ChangedCapacities(ctx context.Context, saleID string) ([]domain.CapacityChange, error)
	// ClassCodes are the codes for hidden classes, as they were made.
	ClassCodes(ctx context.Context, saleID string) ([]domain.ClassCode, error)
	RecordedOrders(ctx context.Context, saleID string) iter.Seq2[domain.RecordedOrder, error]
	Order(ctx context.Context, id domain.OrderID) (domain.SoldOrder, error)
	// NoteRebooking changes by which transfers an order has its seats.
	NoteRebooking(ctx context.Context, id domain.OrderID) error
}

// A Rebooker books again what a ledger lost: every order that is on record has its seats,
// its buyer's quota and its perk afterwards, and a refunded one has none. It is the other
// direction of a Restorer, and may be stopped at any point and repeated.
//
// Holds are not booked again: their checkouts find them gone, and treat money for them as
// late money.
type Rebooker struct {
	Ledger  EmptyLedger
	Records Records
	// Tell hears what it waits for; nil: nobody does.
	Tell func(format string, args ...any)
}

// A Rebooked says what was booked again of one sale.
type Rebooked struct {
	SaleID  string
	Applied bool // false: nothing was booked, and the numbers say what would be

	Recorded int // orders on record
	Posted   int // their holds were still there: sold as they had been
	Booked   int // booked anew
	Returned int // refunded since: their seats are free again
	Perks    int // orders whose perk was missing

	// Lacking are orders on record that the ledger cannot give their seats or perk.
	Lacking []Item
}

// Missing reports whether the ledger lacked anything.
func (r *Rebooked) Missing() bool {
	return r.Posted+r.Booked+r.Returned+r.Perks+len(r.Lacking) > 0
}

const (
	fatesPage     = 1000
	rebookAtOnce  = 64
	lookAgainEach = time.Second // while holds of the backup are in the way
)

// All goes through all sales, and tells of each when it is done.
func (r *Rebooker) All(ctx context.Context, apply bool, each func(*Rebooked)) error {
	sales, err := r.Records.Sales(ctx)
	if err != nil {
		return err
	}
	for _, sale := range sales {
		done, err := r.Sale(ctx, sale, apply)
		if err != nil {
			return fmt.Errorf("sale %s: %w", sale.ID, err)
		}
		each(done)
	}
	return nil
}

// Sale brings the ledger up to date with what is on record of one sale.
func (r *Rebooker) Sale(ctx context.Context, sale *domain.Sale, apply bool) (*Rebooked, error) {
	s := &saleRebooking{Rebooker: r, sale: sale, done: &Rebooked{SaleID: sale.ID, Applied: apply}}
	if apply {
		if err := s.open(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.compare(ctx); err != nil {
		return nil, err
	}
	if !apply {
		s.done.Posted, s.done.Booked, s.done.Returned, s.done.Perks = len(s.held), len(s.missing), len(s.returned), len(s.perks)
		return s.done, nil
	}
	for _, step := range []func(context.Context) error{s.post, s.giveBack, s.book, s.takePerks, s.lower, s.drain} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s.done, nil
}

// A saleRebooking is one sale under way.
type saleRebooking struct {
	*Rebooker
	sale *domain.Sale

	held, missing, returned, perks []domain.OrderID
	lowered                        []domain.CapacityChange

	mu   sync.Mutex
	done *Rebooked
}

// makeCodes gives the sale's codes their uses, where the ledger lacks them, and revokes those that
// were revoked: orders on record may use them all the same.
func (s *saleRebooking) makeCodes(ctx context.Context) error {
	if !s.sale.HasHidden() {
		return nil
	}
	codes, err := s.Records.ClassCodes(ctx, s.sale.ID)
	if err != nil {
		return err
	}
	alike := make(map[domain.ClassCode][]domain.ClassCodeID)
	var revoked []domain.ClassCodeID
	for _, c := range codes {
		if c.Revoked {
			revoked = append(revoked, c.ID)
		}
		made := domain.ClassCode{Only: c.Only, Left: c.Left}
		alike[made] = append(alike[made], c.ID)
	}
	for made, ids := range alike {
		if _, err := s.Ledger.MakeCodes(ctx, s.sale, ids, made.Only, made.Left); err != nil {
			return err
		}
	}
	_, err = s.Ledger.RevokeCodes(ctx, s.sale, revoked)
	return err
}

// open makes the sale's accounts, where they are missing, and raises its capacities by what
// they were raised. What they were lowered by comes last, when everything is booked.
func (s *saleRebooking) open(ctx context.Context) error {
	if err := s.Ledger.OpenSale(ctx, s.sale); err != nil {
		return err
	}
	if err := s.makeCodes(ctx); err != nil {
		return err
	}
	changes, err := s.Records.ChangedCapacities(ctx, s.sale.ID)
	if err != nil {
		return err
	}
	for i := range changes {
		if changes[i].By() < 0 {
			s.lowered = append(s.lowered, changes[i])
		} else if _, err := s.Ledger.ChangeCapacity(ctx, &changes[i]); err != nil {
			return err
		}
	}
	return nil
}

// compare finds the orders that the ledger has otherwise than they are on record.
func (s *saleRebooking) compare(ctx context.Context) error {
	withPerk := make(map[domain.OrderID]bool)
	if s.sale.Perk != nil {
		uses, err := s.Ledger.Bookings(ctx, s.sale.Perk.Ledger)
		if err != nil {
			return err
		}
		for _, use := range uses {
			withPerk[use.Order] = use.Sold > 0
		}
	}
	var page []domain.RecordedOrder
	for o, err := range s.Records.RecordedOrders(ctx, s.sale.ID) {
		if err != nil {
			return err
		}
		if o.PerkTaken && !withPerk[o.ID] {
			s.perks = append(s.perks, o.ID)
		}
		if page = append(page, o); len(page) == fatesPage {
			if err := s.compareSeats(ctx, page); err != nil {
				return err
			}
			page = page[:0]
		}
	}
	return s.compareSeats(ctx, page)
}

func (s *saleRebooking) compareSeats(ctx context.Context, page []domain.RecordedOrder) error {
	ids := make([]domain.OrderID, len(page))
	for i := range page {
		ids[i] = page[i].ID
	}
	fates, err := s.Ledger.SeatFates(ctx, ids)
	if err != nil {
		return err
	}
	s.done.Recorded += len(page)
	for i := range page {
		id, fate := page[i].ID, fates[page[i].ID]
		switch {
		case page[i].Status == domain.OrderRefunded:
			if fate == domain.SeatsSold {
				s.returned = append(s.returned, id)
			}
		case fate == domain.SeatsSold:
		case fate == domain.SeatsReturned:
			s.lacks(id, "the ledger has taken its seats back: it knows more than the database, see boxoffice restore-orders")
		case fate == domain.SeatsHeld:
			s.held = append(s.held, id)
		default:
			s.missing = append(s.missing, id)
		}
	}
	return nil
}

// post sells what the order still holds. A hold that has just ended is booked anew. So is that
// of an order that was itself booked anew since: its hold was gone by then, and goes again.
func (s *saleRebooking) post(ctx context.Context) error {
	return s.eachOrder(ctx, s.held, func(ctx context.Context, sold *domain.SoldOrder) error {
		outcome, err := domain.PostGone, error(nil)
		if sold.Booking == domain.BookedByHold {
			outcome, err = s.Ledger.Post(ctx, s.orderOf(sold, true))
		} else {
			_, err = s.Ledger.Void(ctx, s.orderOf(sold, true))
		}
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if outcome == domain.PostPosted {
			s.done.Posted++
		} else {
			s.missing = append(s.missing, sold.ID)
		}
		return nil
	})
}

// giveBack frees the seats of orders that were refunded since.
func (s *saleRebooking) giveBack(ctx context.Context) error {
	err := s.eachOrder(ctx, s.returned, func(ctx context.Context, sold *domain.SoldOrder) error { return s.Ledger.Return(ctx, sold) })
	s.done.Returned += len(s.returned)
	return err
}

// book sells the seats of the orders that the ledger does not know. A refused booking is
// refused for ever, so none is asked for that must fail: holds that came back with the
// backup have their seats until they end, which is waited for.
func (s *saleRebooking) book(ctx context.Context) error {
	waiting := make([]*domain.SoldOrder, 0, len(s.missing))
	err := s.eachOrder(ctx, s.missing, func(_ context.Context, sold *domain.SoldOrder) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		waiting = append(waiting, sold)
		return nil
	})
	if err != nil {
		return err
	}
	// The same sequence each time: an order's id begins with its time.
	slices.SortFunc(waiting, func(a, b *domain.SoldOrder) int { return slices.Compare(a.ID[:], b.ID[:]) })
	for told := false; len(waiting) > 0; {
		room, err := s.readRoom(ctx)
		if err != nil {
			return err
		}
		var now, later []*domain.SoldOrder
		for _, sold := range waiting {
			if room.take(sold) {
				now = append(now, sold)
			} else {
				later = append(later, sold)
			}
		}
		if err := s.bookNow(ctx, now); err != nil {
			return err
		}
		if waiting = later; len(waiting) == 0 {
			return nil
		}
		if room.isFinal {
			for _, sold := range waiting {
				s.lacks(sold.ID, "no seats are left for it: they were sold to others since the ledger was put back")
			}
			return nil
		}
		if !told && s.Tell != nil {
			s.Tell("sale %s: %d orders wait until holds that came back with the backup end", s.sale.ID, len(waiting))
			told = true
		}
		if err := pace.Pause(ctx, lookAgainEach); err != nil {
			return err
		}
	}
	return nil
}

func (s *saleRebooking) bookNow(ctx context.Context, orders []*domain.SoldOrder) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(rebookAtOnce)
	for _, sold := range orders {
		group.Go(func() error {
			// Noted first: an order that says so and is not booked yet is found missing again.
			if sold.Booking != domain.BookedByRebook {
				if err := s.Records.NoteRebooking(ctx, sold.ID); err != nil {
					return err
				}
			}
			outcome, err := s.Ledger.Rebook(ctx, s.orderOf(sold, false))
			switch {
			case err != nil:
				return err
			case outcome != domain.RebookBooked:
				s.lacks(sold.ID, fmt.Sprintf("the ledger refuses to book it again: %s", outcome))
				return nil
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.done.Booked++
			return nil
		})
	}
	return group.Wait()
}

// takePerks gives orders the perk that they are recorded with. One that has no seats gets none.
func (s *saleRebooking) takePerks(ctx context.Context) error {
	perks := slices.DeleteFunc(s.perks, func(id domain.OrderID) bool {
		return slices.ContainsFunc(s.done.Lacking, func(item Item) bool { return item.Order == id })
	})
	return s.eachOrder(ctx, perks, func(ctx context.Context, sold *domain.SoldOrder) error {
		taken, err := s.Ledger.TakePerk(ctx, s.orderOf(sold, false))
		if err == nil && !taken {
			s.lacks(sold.ID, "none of the sale's perk is left for it")
			return nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done.Perks++
		return err
	})
}

// lower lowers capacities as they were lowered. It could be refused for holds that came back
// with the backup, and then for ever, so it waits for these.
func (s *saleRebooking) lower(ctx context.Context) error {
	for i := range s.lowered {
		c := &s.lowered[i]
		for {
			left, err := s.readRoom(ctx)
			if err != nil {
				return err
			}
			if left.isFinal || left.available[c.Ledger] >= -c.By() {
				break
			}
			if err := pace.Pause(ctx, lookAgainEach); err != nil {
				return err
			}
		}
		if _, err := s.Ledger.ChangeCapacity(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// drain takes what a canceled sale has left, which the ledger has on offer again.
func (s *saleRebooking) drain(ctx context.Context) error {
	if s.sale.CanceledAt.IsZero() {
		return nil
	}
	_, err := s.Ledger.Drain(ctx, s.sale)
	return err
}

func (s *saleRebooking) lacks(id domain.OrderID, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.Lacking = append(s.done.Lacking, Item{Order: id, Outcome: NotRestorable, Why: why})
}

// eachOrder reads the whole orders, several at a time.
func (s *saleRebooking) eachOrder(ctx context.Context, ids []domain.OrderID, visit func(context.Context, *domain.SoldOrder) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnceMax)
	for _, id := range ids {
		group.Go(func() error {
			sold, err := s.Records.Order(ctx, id)
			if err == nil {
				err = visit(ctx, &sold)
			}
			if err != nil {
				return fmt.Errorf("order %s: %w", id, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// orderOf is as much of what was asked for as the ledger needs.
func (s *saleRebooking) orderOf(sold *domain.SoldOrder, held bool) *domain.Order {
	o := &domain.Order{
		ID: sold.ID, SaleID: sold.SaleID, SaleName: sold.SaleName, Lines: sold.Lines, Buyer: sold.Buyer, Perk: sold.Perk,
		QuotaLedger: sold.QuotaLedger, BuyerLimit: s.sale.BuyerLimit, AmountMinor: sold.AmountMinor, Currency: sold.Currency,
		HoldTimeout: s.sale.HoldTimeout, Code: sold.Code,
	}
	if held && s.sale.OneCheckoutPerBuyer {
		o.CheckoutLedger = s.sale.CheckoutLedger
	}
	return o
}

// room is what a sale has left, as orders are given it.
type room struct {
	available map[uint32]int64
	holders   map[domain.BuyerID]bool // whose quota holds of the backup take
	codes     map[domain.ClassCodeID]int64
	// settled: the balances show what the transfers do. A server gives back what a hold had a
	// moment after it ended.
	settled bool
	isFinal bool // nothing is held: nothing will come free
}

func (s *saleRebooking) readRoom(ctx context.Context) (*room, error) {
	// The holders first: what none of them holds any more, the levels show as available.
	quota, err := s.Ledger.Quota(ctx, s.sale, s.sale.QuotaLedger)
	if err != nil {
		return nil, err
	}
	levels, err := s.Ledger.Stock(ctx, s.sale)
	if err != nil {
		return nil, err
	}
	left := &room{available: make(map[uint32]int64), holders: make(map[domain.BuyerID]bool)}
	held := quota.Held
	for _, level := range levels {
		left.available[level.Ledger] = level.Available
		held += level.Held
	}
	var byOrders int64
	for _, use := range quota.Uses {
		if byOrders += use.Held; use.Held > 0 {
			left.holders[use.Buyer] = true
		}
	}
	left.settled, left.isFinal = byOrders == quota.Held, held == 0
	if !s.sale.HasHidden() {
		return left, nil
	}
	uses, err := s.Ledger.ClassCodeQuota(ctx, s.sale)
	if err != nil {
		return nil, err
	}
	left.codes, byOrders = uses.Budgets, 0
	for _, use := range uses.Uses {
		left.codes[domain.ClassCodeID(use.Buyer)] -= use.Held + use.Sold
		byOrders += use.Held
	}
	left.settled, left.isFinal = left.settled && byOrders == uses.Held, left.isFinal && uses.Held == 0
	return left, nil
}

func (r *room) take(o *domain.SoldOrder) bool {
	if !r.settled || r.holders[o.Buyer] {
		return false
	}
	for _, line := range o.Lines {
		if r.available[line.Ledger] < line.Quantity {
			return false
		}
	}
	if o.Code != nil {
		if r.codes[o.Code.ID] < 1 {
			return false
		}
		r.codes[o.Code.ID]--
	}
	for _, line := range o.Lines {
		r.available[line.Ledger] -= line.Quantity
	}
	return true
}

// ErrLacking says that orders are on record whose seats the ledger cannot give.
var ErrLacking = errors.New("the ledger cannot give what is on record")
