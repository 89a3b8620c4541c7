package api

import (
	"cmp"
	"slices"
	"time"

	"boxoffice/domain"
)

// The bodies of the contract. Money is in minor units of the currency, times
// are RFC 3339 in UTC.

// SaleView is a sale as everybody may see it.
type SaleView struct {
	ID                string      `json:"id" example:"conference-2027"`
	Name              string      `json:"name"`
	Currency          string      `json:"currency" example:"EUR"`
	State             string      `json:"state" enum:"upcoming,open,closed,canceled" doc:"upcoming: it opens later. closed: its window has passed, or the organiser ended it; what is held can still be paid"`
	Open              bool        `json:"open" doc:"Whether tickets are sold now"`
	Interrupted       bool        `json:"interrupted,omitempty" doc:"Checkouts are refused for the moment, because Temporal or the ledger does not answer. Try again later"`
	OpensAt           *time.Time  `json:"opens_at,omitempty"`
	ClosesAt          *time.Time  `json:"closes_at,omitempty"`
	EndedAt           *time.Time  `json:"ended_at,omitempty" doc:"The organiser ended the sale early"`
	CanceledAt        *time.Time  `json:"canceled_at,omitempty" doc:"The organiser canceled the sale"`
	HoldSeconds       int64       `json:"hold_seconds" doc:"How long a checkout waits for its payment"`
	ProcessingSeconds int64       `json:"processing_seconds,omitempty" doc:"How much longer the seats are kept while a payment is being processed; absent: they are not, and only methods are offered whose payment is decided at once"`
	BuyerLimit        int64       `json:"buyer_limit" doc:"Tickets per buyer"`
	WaitingRoom       bool        `json:"waiting_room"`
	Classes           []ClassView `json:"classes"`
	Perk              *PerkView   `json:"perk,omitempty"`
	Version           int64       `json:"version" doc:"Counts the organiser's changes; in quotes it is the ETag, for If-Match"`
	Facts             *FactsBody  `json:"facts,omitempty" doc:"Without description, terms and imprint in the list of sales; not in the event stock"`
	Image             *ImageView  `json:"image,omitempty"`

	BuyersKeptDays int64 `json:"buyers_kept_days,omitempty" doc:"For how many days after the sale's end the data of its buyers are kept; absent: until they are erased on request"`

	OneCheckoutPerBuyer bool `json:"one_checkout_per_buyer" doc:"Whether a buyer may have only one unpaid checkout at a time"`
	FoldEmailAliases    bool `json:"fold_email_aliases" doc:"Whether the aliases of one mailbox are one buyer"`

	Capture string `json:"capture" enum:"automatic,after_seats" doc:"When the money is taken: automatic – when the buyer pays; after_seats – once the seats are sold"`

	Entitlement *EntitlementRuleBody `json:"entitlement,omitempty" doc:"What people need to join the queue, any one of these kinds. Absent: nothing"`
}

// ClassView is a ticket class and its stock, as the ledger has it.
type ClassView struct {
	Class     string `json:"class" example:"A"`
	Label     string `json:"label,omitempty" doc:"What people call it; absent: its id"`
	Price     int64  `json:"price" doc:"Minor units" example:"6500"`
	Capacity  int64  `json:"capacity"`
	Held      int64  `json:"held" doc:"Held by open checkouts; may come back"`
	Sold      int64  `json:"sold"`
	Available int64  `json:"available"`

	Open        bool       `json:"open" doc:"Whether this class is sold while the sale is open: its own window"`
	OpensAt     *time.Time `json:"opens_at,omitempty" doc:"When its own window opens"`
	ClosesAt    *time.Time `json:"closes_at,omitempty" doc:"When its own window closes"`
	Hidden      bool       `json:"hidden,omitempty" doc:"Only who has a code sees and gets it"`
	MaxPerOrder int64      `json:"max_per_order,omitempty" doc:"Tickets of this class in one order; absent: as many as a buyer may have"`
}

// PerkView is what the first paid orders get in addition.
type PerkView struct {
	Name      string `json:"name"`
	Capacity  int64  `json:"capacity"`
	Available int64  `json:"available"`
}

// viewSale shows all classes of the sale: those that everybody may see are in sale.Public().
func viewSale(sale *domain.Sale, levels []domain.StockLevel, now time.Time) SaleView {
	v := SaleView{
		ID: sale.ID, Name: sale.Name, Currency: sale.Currency,
		State:             saleState(sale, now),
		Open:              sale.WhyClosed(now) == "",
		OpensAt:           timeOrNil(sale.OpensAt),
		ClosesAt:          timeOrNil(sale.ClosesAt),
		EndedAt:           timeOrNil(sale.EndedAt),
		CanceledAt:        timeOrNil(sale.CanceledAt),
		HoldSeconds:       int64(sale.HoldTimeout / time.Second),
		ProcessingSeconds: int64(sale.ProcessingExtension / time.Second),
		BuyerLimit:        sale.BuyerLimit,
		WaitingRoom:       sale.WaitingRoom,
		Classes:           make([]ClassView, 0, len(sale.Classes)),
		Version:           sale.Version,
		Facts:             viewFacts(sale.Facts),
		Image:             viewImage(sale),

		BuyersKeptDays: sale.BuyersKeptDays,

		OneCheckoutPerBuyer: sale.OneCheckoutPerBuyer,
		FoldEmailAliases:    sale.AliasRule != domain.AliasesApart,
		Capture:             string(cmp.Or(sale.Capture, domain.CaptureAutomatic)),
		Entitlement:         viewRule(&sale.Entitlement),
	}
	for i := range sale.Classes {
		v.Classes = append(v.Classes, viewClass(&sale.Classes[i], levels, now))
	}
	if p := sale.Perk; p != nil {
		level, _ := domain.LevelOf(levels, p.Ledger)
		v.Perk = &PerkView{Name: p.Name, Capacity: p.Capacity, Available: level.Available}
	}
	return v
}

func viewClass(c *domain.Class, levels []domain.StockLevel, now time.Time) ClassView {
	level, _ := domain.LevelOf(levels, c.Ledger)
	return ClassView{
		Class: c.Name, Label: c.Label, Price: c.PriceMinor, Capacity: c.Capacity,
		Held: level.Held, Sold: level.Sold, Available: level.Available,
		Open: c.WhyClosed(now) == "", OpensAt: timeOrNil(c.OpensAt), ClosesAt: timeOrNil(c.ClosesAt), MaxPerOrder: c.MaxPerOrder,
		Hidden: c.Hidden,
	}
}

// OrderView is an order as its buyer may see it.
type OrderView struct {
	Order    domain.OrderID     `json:"order"`
	Sale     string             `json:"sale"`
	SaleName string             `json:"sale_name"`
	Status   domain.OrderStatus `json:"status" enum:"held,paid,failed,canceled,expired,refunding,refunded"`
	Items    []OrderItem        `json:"items"`
	Amount   int64              `json:"amount" doc:"Minor units"`
	Currency string             `json:"currency"`

	HoldExpiresAt  *time.Time `json:"hold_expires_at,omitempty" doc:"held: when the checkout gives up"`
	PaymentURL     string     `json:"payment_url,omitempty" doc:"held: where to pay; absent if the order costs nothing: it is paid by itself, at once"`
	PaymentSession string     `json:"payment_session,omitempty" doc:"held: the provider's id of this payment session"`

	Processing     bool       `json:"processing,omitempty" doc:"held, after hold_expires_at: a payment is being processed, and the seats are kept until seats_kept_until"`
	SeatsKeptUntil *time.Time `json:"seats_kept_until,omitempty" doc:"held, if the sale has processing_seconds: until when the seats are kept if a payment is being processed"`

	Declines     int `json:"declines,omitempty" doc:"Attempts to pay that were declined. They keep the seats: payment_url is good for another attempt until hold_expires_at"`
	AttemptsLeft int `json:"attempts_left,omitempty" doc:"held, once an attempt was declined: how many more there may be. If the last is declined too, the order fails"`

	Tickets    []domain.Ticket `json:"tickets,omitempty" doc:"paid: one ticket per person"`
	Void       []domain.Ticket `json:"void_tickets,omitempty" doc:"refunding, refunded: the tickets that let nobody in any more"`
	Perk       *OrderPerk      `json:"perk,omitempty" doc:"paid: whether the order got the sale's perk"`
	PaidAt     *time.Time      `json:"paid_at,omitempty"`
	RefundedAt *time.Time      `json:"refunded_at,omitempty"`

	Metadata map[string]string `json:"metadata,omitempty" doc:"As sent with the checkout"`

	Facts          *FactsBody `json:"facts,omitempty" doc:"What the sale says of itself now, without its description. Not in lists"`
	SaleCanceledAt *time.Time `json:"sale_canceled_at,omitempty" doc:"The organiser canceled the whole sale; the money goes back"`
	HoldersOpen    bool       `json:"holders_open,omitempty" doc:"Whether name-holders can say who the tickets are for. Not in lists"`
	HoldersUntil   *time.Time `json:"holders_until,omitempty" doc:"With holders_open: until when; absent: there is no end"`

	erasedAt time.Time
}

// OrderItem is a line of an order.
type OrderItem struct {
	Class     string `json:"class"`
	Label     string `json:"label,omitempty" doc:"What people call the class; absent: its id. Not in lists"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price" doc:"Minor units"`
}

// OrderPerk says whether an order got the perk.
type OrderPerk struct {
	Name  string `json:"name"`
	Taken bool   `json:"taken"`
}

func viewSoldOrder(o *domain.SoldOrder) OrderView {
	v := OrderView{
		Order: o.ID, Sale: o.SaleID, SaleName: o.SaleName, Status: o.Status,
		Items: viewLines(o.Lines), Amount: o.AmountMinor, Currency: o.Currency,
		PaidAt: timeOrNil(o.PaidAt), RefundedAt: timeOrNil(o.RefundedAt), Metadata: o.Metadata, erasedAt: o.ErasedAt,
	}
	if o.Perk != nil {
		v.Perk = &OrderPerk{Name: o.Perk.Name, Taken: o.PerkTaken}
	}
	switch o.Status.Terms().Tickets {
	case domain.TicketsValid:
		v.Tickets = o.Tickets
	case domain.TicketsVoid:
		v.Void = o.Tickets
	case domain.TicketsNone:
	}
	return v
}

// withFacts adds what the order's sale says of itself now. The view may be shared, so its items are copied.
func (v OrderView) withFacts(sale *domain.Sale, now time.Time) OrderView {
	facts := sale.Facts
	facts.Description = ""
	v.Facts, v.SaleName, v.SaleCanceledAt = viewFacts(facts), sale.Name, timeOrNil(sale.CanceledAt)
	if v.HoldersOpen = domain.WhyHoldersFixed(sale, &domain.SoldOrder{Status: v.Status, ErasedAt: v.erasedAt}, now) == nil; v.HoldersOpen {
		v.HoldersUntil = timeOrNil(sale.Facts.HolderNamesUntil())
	}
	v.Items = slices.Clone(v.Items)
	for i := range v.Items {
		class, _ := sale.Class(v.Items[i].Class)
		v.Items[i].Label = class.Label
	}
	return v
}

func viewLines(lines []domain.Line) []OrderItem {
	items := make([]OrderItem, 0, len(lines))
	for _, l := range lines {
		items = append(items, OrderItem{Class: l.Class, Quantity: l.Quantity, UnitPrice: l.UnitPriceMinor})
	}
	return items
}

// AdminOrderView is an order as the organiser may see it.
type AdminOrderView struct {
	OrderView
	Email       string     `json:"email" doc:"Empty if it was erased, or the order was restored and its address was lost"`
	ErasedAt    *time.Time `json:"erased_at,omitempty" doc:"When the buyer's data was erased"`
	Payment     string     `json:"payment" doc:"The provider's id of the captured payment; free/ and the order where there was nothing to pay"`
	RefundingAt *time.Time `json:"refunding_at,omitempty"`

	Reversals []ReversalView `json:"reversals,omitempty" doc:"Disputes of the order's payments, and refunds of them that somebody made at the provider. The tickets stay valid until you refund or cancel the order; what went back so is then not given back again"`
}

// ReversalView is money of an order that went back, or may, without the box office.
type ReversalView struct {
	ID        string               `json:"id" doc:"The provider's id of the dispute or refund"`
	Kind      domain.ReversalKind  `json:"kind" enum:"dispute,refund"`
	State     domain.ReversalState `json:"state" enum:"inquiry,dropped,open,won,lost,made,failed" doc:"Of a dispute: inquiry (the bank asks, nothing is taken), open (taken, not decided), won (you have the money again), lost (the buyer keeps it), dropped (ended, and nothing was taken). Of a refund: made, or failed (the money is back at the provider)"`
	Payment   string               `json:"payment"`
	Amount    int64                `json:"amount" doc:"Minor units"`
	Currency  string               `json:"currency"`
	Reason    string               `json:"reason,omitempty" doc:"The provider's word, such as fraudulent"`
	At        time.Time            `json:"at" doc:"When it was opened, or made"`
	RespondBy *time.Time           `json:"respond_by,omitempty" doc:"Until when you can answer the bank, at the provider. Absent: it waits for nothing of yours"`
}

func viewReversals(reversals []domain.Reversal) (views []ReversalView) {
	for _, r := range reversals {
		views = append(views, ReversalView{
			ID: r.ID, Kind: r.Kind, State: r.State, Payment: r.Payment, Amount: r.AmountMinor, Currency: r.Currency, Reason: r.Reason, At: r.At,
			RespondBy: timeOrNil(r.RespondBy),
		})
	}
	return views
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
