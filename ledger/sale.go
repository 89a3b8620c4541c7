package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	tb "github.com/tigerbeetle/tigerbeetle-go"

	"boxoffice/domain"
)

// A stock is one TigerBeetle ledger of a sale.
type stock struct {
	name     string
	ledger   uint32
	capacity int64 // that it was opened with
}

// stocksOf lists what a sale has to sell: its classes, then its perk.
func stocksOf(s *domain.Sale) []stock {
	stocks := make([]stock, 0, len(s.Classes)+1)
	for _, c := range s.Classes {
		stocks = append(stocks, stock{c.Name, c.Ledger, cmp.Or(c.OpenedWith, c.Capacity)})
	}
	if s.Perk != nil {
		stocks = append(stocks, stock{s.Perk.Name, s.Perk.Ledger, s.Perk.Capacity})
	}
	return stocks
}

// limitsOf lists what a sale limits for each buyer, or for each code; the capacity is one
// buyer's, and means nothing for codes.
func limitsOf(s *domain.Sale) []stock {
	limits := []stock{{"quota", s.QuotaLedger, s.BuyerLimit}}
	if s.OneCheckoutPerBuyer {
		limits = append(limits, stock{"open checkouts", s.CheckoutLedger, 1})
	}
	if s.HasHidden() {
		limits = append(limits, stock{"codes", s.CodeLedger, 1})
	}
	return limits
}

// OpenSale creates the accounts of every stock and of the buyers' limits, and funds the
// stocks. It must succeed before an order of the sale is held. Repeating it changes
// nothing. A *domain.Error with CodeExists means that these ledgers belong to another
// sale, or to this one with other contents.
func (b *Book) OpenSale(ctx context.Context, s *domain.Sale) error {
	if err := checkSale(s); err != nil {
		return err
	}
	if err := b.createAccounts(ctx, s); err != nil {
		return err
	}
	return b.fund(ctx, s)
}

func checkSale(s *domain.Sale) error {
	users := map[uint32]string{0: "no ledger"}
	for _, st := range append(stocksOf(s), limitsOf(s)...) {
		if other, taken := users[st.ledger]; taken {
			return ourFault("sale %s: ledger %d of %s is %s", s.ID, st.ledger, st.name, other)
		}
		if st.capacity < 1 {
			return ourFault("sale %s: %s has capacity %d", s.ID, st.name, st.capacity)
		}
		users[st.ledger] = "that of " + st.name
	}
	return nil
}

func (b *Book) createAccounts(ctx context.Context, s *domain.Sale) error {
	var accounts []tb.Account
	for _, st := range stocksOf(s) {
		accounts = append(accounts,
			newAccount(s, st, roleOperator, tb.AccountFlags{}),
			newAccount(s, st, roleBudget, tb.AccountFlags{DebitsMustNotExceedCredits: true}),
			// Nor can more be returned than was sold.
			newAccount(s, st, roleSpent, tb.AccountFlags{DebitsMustNotExceedCredits: true}),
		)
	}
	for _, limit := range limitsOf(s) {
		accounts = append(accounts,
			newAccount(s, limit, roleOperator, tb.AccountFlags{}),
			newAccount(s, limit, roleSpent, tb.AccountFlags{DebitsMustNotExceedCredits: true}),
		)
	}
	results, err := b.sendAccounts(ctx, accounts)
	if err != nil {
		return failed("open sale", saleName(s.ID), err)
	}
	for i, r := range results {
		if err := opened(s, accounts[i].Ledger, accountClass(r.Status), r.Status); err != nil {
			return err
		}
	}
	return nil
}

// newAccount puts the account's owner into its user data, so that the same ledger in
// another sale is refused.
func newAccount(s *domain.Sale, st stock, r role, flags tb.AccountFlags) tb.Account {
	return tb.Account{
		ID:         accountID(st.ledger, r),
		UserData64: definitionOf(s, st),
		Ledger:     st.ledger,
		Code:       uint16(r),
		Flags:      flags.ToUint16(),
	}
}

func definitionOf(s *domain.Sale, st stock) uint64 {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %d", s.ID, st.name, st.capacity))
	return binary.BigEndian.Uint64(sum[:])
}

func (b *Book) fund(ctx context.Context, s *domain.Sale) error {
	var funds []tb.Transfer
	for _, st := range stocksOf(s) {
		funds = append(funds, tb.Transfer{
			ID:              fundID(st.ledger),
			DebitAccountID:  accountID(st.ledger, roleOperator),
			CreditAccountID: accountID(st.ledger, roleBudget),
			Amount:          tb.ToUint128(uint64(st.capacity)),
			Ledger:          st.ledger,
			Code:            uint16(codeFund),
		})
	}
	results, err := b.sendTransfers(ctx, funds)
	if err != nil {
		return failed("open sale", saleName(s.ID), err)
	}
	for i, r := range results {
		if err := opened(s, funds[i].Ledger, transferClass(r.Status), r.Status); err != nil {
			return err
		}
	}
	return nil
}

func opened(s *domain.Sale, ledger uint32, c class, status fmt.Stringer) error {
	cause := fmt.Errorf("open sale %s: ledger %d answered %s", s.ID, ledger, status)
	switch c {
	case classApplied:
		return nil
	case classDiffers:
		return &domain.Error{
			Code:   domain.CodeExists,
			Detail: fmt.Sprintf("The ledger has another sale, or another definition of %s, in its books.", s.ID),
			Err:    cause,
		}
	default:
		return ourFault("%w", cause)
	}
}

// Stock returns the level of every class in the sale's order, then of the perk. It is one
// reading: all levels are of the same moment. CodeNotFound means that the sale was never
// opened in this ledger.
func (b *Book) Stock(ctx context.Context, s *domain.Sale) ([]domain.StockLevel, error) {
	stocks := stocksOf(s)
	ids := make([]tb.Uint128, 0, 2*len(stocks))
	for _, st := range stocks {
		ids = append(ids, accountID(st.ledger, roleBudget), accountID(st.ledger, roleSpent))
	}
	accounts, err := b.batcher.LookupAccounts(ctx, ids)
	if err != nil {
		return nil, failed("read the stock of", saleName(s.ID), err)
	}
	levels := make([]domain.StockLevel, len(stocks))
	for i, st := range stocks {
		budget, spent := accounts[2*i], accounts[2*i+1]
		if budget == nil || spent == nil {
			return nil, notOpened(s, st.ledger, st.name)
		}
		levels[i] = levelOf(st, budget, spent)
	}
	return levels, nil
}

// QuotaLevel returns what is held and sold over all buyers in one of the sale's ledgers
// with limits per buyer: the quota's, or that of open checkouts. It does not set the
// level's capacity and what is available, because each buyer has their own budget.
// CodeNotFound as with Stock.
func (b *Book) QuotaLevel(ctx context.Context, s *domain.Sale, ledger uint32) (domain.StockLevel, error) {
	limit, err := limitOf(s, ledger)
	if err != nil {
		return domain.StockLevel{}, err
	}
	accounts, err := b.batcher.LookupAccounts(ctx, []tb.Uint128{accountID(ledger, roleSpent)})
	if err != nil {
		return domain.StockLevel{}, failed("read the "+limit.name+" of", saleName(s.ID), err)
	}
	spent := accounts[0]
	if spent == nil {
		return domain.StockLevel{}, notOpened(s, ledger, limit.name)
	}
	return domain.StockLevel{
		Name:   limit.name,
		Ledger: ledger,
		Held:   tickets(spent.CreditsPending),
		Sold:   tickets(spent.CreditsPosted) - tickets(spent.DebitsPosted),
	}, nil
}

func limitOf(s *domain.Sale, ledger uint32) (stock, error) {
	limits := limitsOf(s)
	i := slices.IndexFunc(limits, func(l stock) bool { return l.ledger == ledger })
	if i < 0 {
		return stock{}, ourFault("sale %s: ledger %d limits no buyer", s.ID, ledger)
	}
	return limits[i], nil
}

func notOpened(s *domain.Sale, ledger uint32, of string) error {
	return &domain.Error{
		Code:   domain.CodeNotFound,
		Detail: "The sale is not open yet.",
		Err:    fmt.Errorf("sale %s: ledger %d of %s has no accounts", s.ID, ledger, of),
	}
}

func levelOf(st stock, budget, spent *tb.Account) domain.StockLevel {
	level := domain.StockLevel{
		Name:   st.name,
		Ledger: st.ledger,
		Held:   tickets(budget.DebitsPending),
		Sold:   tickets(spent.CreditsPosted) - tickets(spent.DebitsPosted),
	}
	level.Available = tickets(budget.CreditsPosted) - tickets(budget.DebitsPosted) - level.Held
	// What the operator put in, raises included. The budget's other credits are returns.
	level.Capacity = tickets(budget.CreditsPosted) - tickets(spent.DebitsPosted)
	return level
}

// tickets reads an amount. Capacities and limits keep every sum of a ledger
// below 2^63.
func tickets(amount tb.Uint128) int64 {
	low, _ := amount.Uint64()
	return int64(low)
}

// saleName is a sale's id in errors.
type saleName string

func (s saleName) String() string { return string(s) }
