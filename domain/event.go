package domain

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// EventType names what happened, for other systems.
type EventType string

// The events of orders and of money, of sales, and of the audit.
const (
	EventOrderPaid           EventType = "order.paid"
	EventOrderRefundBegun    EventType = "order.refund_begun"         // its tickets are void, the refund is under way
	EventOrderRefunded       EventType = "order.refunded"             // the tickets' money went back
	EventPaymentRefunded     EventType = "payment.refunded"           // a payment that bought no tickets was refunded
	EventPaymentDisputed     EventType = "payment.disputed"           // the buyer's bank disputes a payment, or asks about it
	EventDisputeClosed       EventType = "payment.dispute_closed"     // and has decided, or given up
	EventRefundedElsewhere   EventType = "payment.refunded_elsewhere" // somebody gave money back at the provider
	EventBuyerErased         EventType = "order.buyer_erased"         // what was known of its buyer is gone
	EventCheckoutExpired     EventType = "checkout.expired"           // nobody paid in time
	EventCheckoutFailed      EventType = "checkout.failed"            // the provider said that the payment failed
	EventCheckoutCanceled    EventType = "checkout.canceled"          // the buyer, the provider or the organiser canceled it
	EventSaleCreated         EventType = "sale.created"               // its stock is funded, and buyers can see it
	EventSaleChanged         EventType = "sale.changed"               // the organiser changed what it says
	EventSaleOpened          EventType = "sale.opened"                // its opening time has passed
	EventSaleSoldOut         EventType = "sale.sold_out"              // all tickets are sold
	EventSaleBackOnSale      EventType = "sale.back_on_sale"          // tickets came back
	EventSaleCapacityChanged EventType = "sale.capacity_changed"      // a class has more or fewer tickets
	EventSaleEnded           EventType = "sale.ended"                 // the organiser ended it early
	EventSaleReopened        EventType = "sale.reopened"              // and opened it again
	EventSaleCanceled        EventType = "sale.canceled"              // the organiser canceled it
	EventHoldersChanged      EventType = "sale.holders_changed"       // a buyer said who an order's tickets are for
	EventAuditBroken         EventType = "audit.broken"               // an invariant that held is broken
	EventAuditHealed         EventType = "audit.healed"               // the invariant holds again
)

// SubjectKind says what an event is about. Events about one subject are read in the order in which they happened.
type SubjectKind string

// The kinds of subject.
const (
	SubjectOrder SubjectKind = "order"
	SubjectSale  SubjectKind = "sale"
)

// EventTerms describe an event type.
type EventTerms struct {
	// Schema is the version of the payload that this release writes. Adding a field keeps the version. Removing one, or changing
	// what it means, raises it.
	Schema  int
	Subject SubjectKind
	// Personal: the payload may contain personal data, because its metadata is whatever the shop put into the order. No payload has
	// a buyer's address or name.
	Personal bool
	// OnRequest: the event is written only while somebody asks for its type by name, see orders.Endings.
	OnRequest bool
	// Says describes the type in one sentence, for the catalogue.
	Says string

	data func() EventData
}

// events is the one table of types. A new one needs a row here, a struct below, an example in docs/events.md, and code that writes it.
var events = map[EventType]EventTerms{
	EventOrderPaid: {
		Schema: 1, Subject: SubjectOrder, Personal: true, data: func() EventData { return new(OrderPaidData) },
		Says: "An order was paid and has its tickets.",
	},
	EventOrderRefundBegun: {
		Schema: 1, Subject: SubjectOrder, Personal: true, data: func() EventData { return new(OrderRefundBegunData) },
		Says: "An order's tickets are void, and its money is on its way back.",
	},
	EventOrderRefunded: {
		Schema: 1, Subject: SubjectOrder, Personal: true, data: func() EventData { return new(OrderRefundedData) },
		Says: "The provider has given an order's money back.",
	},
	EventPaymentRefunded: {
		Schema: 1, Subject: SubjectOrder, data: func() EventData { return new(PaymentRefundedData) },
		Says: "The provider has refunded a payment that bought no tickets.",
	},
	EventPaymentDisputed: {
		Schema: 1, Subject: SubjectOrder, data: func() EventData { return new(PaymentDisputedData) },
		Says: "The buyer's bank disputes a payment, or asks about it. The order's tickets stay valid until the organiser refunds the order.",
	},
	EventDisputeClosed: {
		Schema: 1, Subject: SubjectOrder, data: func() EventData { return new(DisputeClosedData) },
		Says: "A dispute has ended: the organiser has won or lost the money, or nothing had been taken.",
	},
	EventRefundedElsewhere: {
		Schema: 1, Subject: SubjectOrder, data: func() EventData { return new(RefundedElsewhereData) },
		Says: "Somebody gave money of a payment back at the provider, without the box office; or that has failed, and the money is there again.",
	},
	EventBuyerErased: {
		Schema: 1, Subject: SubjectOrder, data: func() EventData { return new(BuyerErasedData) },
		Says: "What was known of an order's buyer was erased: erase what you keep of them.",
	},
	EventCheckoutExpired: {
		Schema: 1, Subject: SubjectOrder, OnRequest: true, data: func() EventData { return new(CheckoutExpiredData) },
		Says: "Nobody paid in time: the seats are back on sale.",
	},
	EventCheckoutFailed: {
		Schema: 1, Subject: SubjectOrder, OnRequest: true, data: func() EventData { return new(CheckoutFailedData) },
		Says: "The provider said that the payment failed: the seats are back on sale.",
	},
	EventCheckoutCanceled: {
		Schema: 1, Subject: SubjectOrder, OnRequest: true, data: func() EventData { return new(CheckoutCanceledData) },
		Says: "A checkout was canceled before it was paid: the seats are back on sale.",
	},
	EventSaleCreated: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleCreatedData) },
		Says: "A sale is on offer; it may open later.",
	},
	EventSaleChanged: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleChangedData) },
		Says: "The organiser changed what a sale says of itself, or when it is sold.",
	},
	EventSaleOpened: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleOpenedData) },
		Says: "A sale's opening time has come.",
	},
	EventSaleSoldOut: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleSoldOutData) },
		Says: "Every ticket of a sale is sold, and none is held.",
	},
	EventSaleBackOnSale: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleBackOnSaleData) },
		Says: "A sale that was sold out has tickets again.",
	},
	EventSaleCapacityChanged: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleCapacityChangedData) },
		Says: "The organiser has raised or lowered the capacity of a class.",
	},
	EventSaleEnded: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleEndedData) },
		Says: "The organiser has ended a sale early: nothing new is held, and what is held can still be paid.",
	},
	EventSaleReopened: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleReopenedData) },
		Says: "The organiser has opened a sale again that was ended early.",
	},
	EventSaleCanceled: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(SaleCanceledData) },
		Says: "The organiser has canceled a sale. Each of its orders is refunded and gets events of its own.",
	},
	EventHoldersChanged: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(HoldersChangedData) },
		Says: "A buyer said who the tickets of an order are for: read it from the order, no event has names.",
	},
	EventAuditBroken: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(AuditBrokenData) },
		Says: "The audit found that an invariant is broken that held before.",
	},
	EventAuditHealed: {
		Schema: 1, Subject: SubjectSale, data: func() EventData { return new(AuditHealedData) },
		Says: "A broken invariant holds again.",
	},
}

// EventTypes lists every type.
func EventTypes() []EventType { return slices.Sorted(maps.Keys(events)) }

// Known reports whether this release knows the type. A newer release may have written others.
func (t EventType) Known() bool {
	_, known := events[t]
	return known
}

// Check is for a type that comes from outside. For one that this release does not know it returns an UnknownError, never a definite one.
func (t EventType) Check() error {
	if t.Known() {
		return nil
	}
	return unknownValue("event type", string(t))
}

// Terms describe the type. They panic if the type is not Known.
func (t EventType) Terms() EventTerms {
	terms, known := events[t]
	if !known {
		panic(fmt.Sprintf("domain: no terms for event type %q", string(t)))
	}
	return terms
}

// NewData is an empty payload of the type.
func (t EventTerms) NewData() EventData { return t.data() }

// An Event is a row of the event log. The transaction that made it happen also wrote it.
type Event struct {
	ID         EventID
	Cursor     EventCursor
	Type       EventType
	Schema     int     // the version of Payload
	SaleID     string  // empty: about no sale
	Order      OrderID // zero: about no order
	Payment    string  // empty: about no payment
	OccurredAt time.Time
	Payload    json.RawMessage // an EventData, see Data
}

// Subject is what the event is about: the id of an order, or else of a sale. Code that partitions events keeps those of one
// subject together.
func (e *Event) Subject() string {
	switch {
	case !e.Order.IsZero():
		return e.Order.String()
	case e.SaleID != "":
		return e.SaleID
	default:
		return e.Payment
	}
}

// EventShards is the number of shards that each reader's work is split into. It never changes, because cursors are stored by shard.
const EventShards = 8

// Shard is the shard of the event's subject.
func (e *Event) Shard() int {
	h := fnv.New32a()
	h.Write([]byte(e.Subject()))
	return int(h.Sum32() % EventShards)
}

// Key is the idempotency key of a reader's effect: the same at every attempt, and different for each reader.
func (e *Event) Key(reader string) string { return reader + "/" + e.ID.String() }

// Data decodes the payload. For a type or schema version that this release does not know it returns an UnknownError, never a definite one.
func (e *Event) Data() (EventData, error) {
	if err := e.Type.Check(); err != nil {
		return nil, err
	}
	terms := e.Type.Terms()
	if e.Schema < 1 || e.Schema > terms.Schema {
		return nil, unknownValue("schema version of "+string(e.Type), strconv.Itoa(e.Schema))
	}
	data := terms.data()
	if err := json.Unmarshal(e.Payload, data); err != nil {
		return nil, &Error{Code: CodeInternal, Detail: "The event's payload does not match its type.", Err: fmt.Errorf("event %s, %s: %w", e.ID, e.Type, err)}
	}
	return data, nil
}

// eventEnvelope is the JSON of an event, the same for every outside system.
type eventEnvelope struct {
	ID         EventID         `json:"id"`
	Type       EventType       `json:"type"`
	Schema     int             `json:"schema"`
	OccurredAt time.Time       `json:"occurred_at"`
	Sale       string          `json:"sale,omitempty"`
	Order      OrderID         `json:"order,omitzero"`
	Data       json.RawMessage `json:"data"`
}

// MarshalJSON implements json.Marshaler.
func (e Event) MarshalJSON() ([]byte, error) {
	return json.Marshal(eventEnvelope{ID: e.ID, Type: e.Type, Schema: e.Schema, OccurredAt: e.OccurredAt, Sale: e.SaleID, Order: e.Order, Data: e.Payload})
}

// An EventID identifies an event for ever: 48 bits of milliseconds by the database's clock, 32 bits that tell installations
// apart, 48 bits of row number. It is derived from what the row has anyway, so it costs no column and no index, and a restored
// dump has the same ids. Ids sort by time, but only the Cursor misses no event.
type EventID [16]byte

const eventIDPrefix = "evt_"

// NewEventID derives the id of a row.
func NewEventID(at time.Time, origin uint32, row int64) (id EventID) {
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	binary.BigEndian.PutUint64(id[8:], uint64(row)&(1<<48-1))
	binary.BigEndian.PutUint32(id[6:10], origin)
	return id
}

// Row is the row's number.
func (id EventID) Row() int64 { return int64(binary.BigEndian.Uint64(id[8:]) & (1<<48 - 1)) }

// At is when the event was written, to the millisecond.
func (id EventID) At() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

// String is the text form: evt_ and 32 lower-case hexadecimal digits.
func (id EventID) String() string { return eventIDPrefix + hex.EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id EventID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *EventID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseEventID(string(text))
	return err
}

// ParseEventID reads the text form. The error is a *Error with CodeInvalid.
func ParseEventID(text string) (id EventID, err error) {
	digits, ok := strings.CutPrefix(text, eventIDPrefix)
	if ok && len(digits) == 2*len(id) {
		_, err = hex.Decode(id[:], []byte(digits))
	}
	if err != nil || id.String() != text {
		return EventID{}, Invalid("event", "must be evt_ and 32 lower-case hexadecimal digits")
	}
	return id, nil
}

// An EventCursor is a position in the event log: after one of the events, or, as the zero value, before the first.
type EventCursor struct {
	Transaction uint64
	ID          int64
}

// String is the text form, which readers may store.
func (c EventCursor) String() string { return fmt.Sprintf("%d-%d", c.Transaction, c.ID) }

// Compare orders cursors in the order in which events are read.
func (c EventCursor) Compare(other EventCursor) int {
	switch {
	case c == other:
		return 0
	case c.Transaction < other.Transaction, c.Transaction == other.Transaction && c.ID < other.ID:
		return -1
	default:
		return 1
	}
}

// ParseEventCursor reads the text form.
func ParseEventCursor(text string) (c EventCursor, err error) {
	transaction, id, _ := strings.Cut(text, "-")
	c.Transaction, err = strconv.ParseUint(transaction, 10, 64)
	if err == nil {
		c.ID, err = strconv.ParseInt(id, 10, 64)
	}
	if err != nil || c.ID < 0 || c.String() != text {
		return EventCursor{}, Invalid("cursor", "must be a cursor that came with an event")
	}
	return c, nil
}

// An EventQuery asks for the events that follow a cursor.
type EventQuery struct {
	After EventCursor
	Limit int         // how many events to look at, selected or not
	Types []EventType // empty: all
	Sale  string      // empty: all
	Order OrderID     // zero: all
}

// An EventPage is the answer to an EventQuery.
type EventPage struct {
	Events []Event
	// Next is where to go on: after everything that was looked at, selected or not. It is the query's After if there was nothing.
	Next EventCursor
	// NextID is the event at Next; zero if there was nothing.
	NextID EventID
	// More: there may already be more.
	More bool
}

// An EventPlace is what the log has at a cursor.
type EventPlace struct {
	ID        EventID     // of the event there; zero: the log has none
	DroppedTo EventCursor // the last event that was dropped for its age; zero: none was
}

// EventData is the payload of an event: a pointer to one of the structs below. Fields
// are only ever added, or the type's schema version is raised.
type EventData interface{ Type() EventType }

// OrderPaidData is the payload of EventOrderPaid. The buyer is in the order, not here.
type OrderPaidData struct {
	Order       OrderID   `json:"order"`
	Sale        string    `json:"sale"`
	Payment     string    `json:"payment"`
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	Lines       []Line    `json:"lines"`
	Booking     Booking   `json:"booking"`
	PerkTaken   bool      `json:"perk_taken"`
	PaidAt      time.Time `json:"paid_at"`
	Metadata    Metadata  `json:"metadata,omitempty"`
}

// OrderRefundBegunData is the payload of EventOrderRefundBegun.
type OrderRefundBegunData struct {
	Order       OrderID      `json:"order"`
	Sale        string       `json:"sale"`
	Payment     string       `json:"payment"`
	AmountMinor int64        `json:"amount_minor"`
	Currency    string       `json:"currency"`
	Reason      RefundReason `json:"reason"`
	Lines       []Line       `json:"lines,omitempty"` // the tickets that are void; none in a log from before they were told
	RequestedAt time.Time    `json:"requested_at"`
	Metadata    Metadata     `json:"metadata,omitempty"`
}

// OrderRefundedData is the payload of EventOrderRefunded.
type OrderRefundedData struct {
	Order       OrderID      `json:"order"`
	Sale        string       `json:"sale"`
	Payment     string       `json:"payment"`
	AmountMinor int64        `json:"amount_minor"`
	Currency    string       `json:"currency"`
	Reason      RefundReason `json:"reason"`
	RefundedAt  time.Time    `json:"refunded_at"`
	Metadata    Metadata     `json:"metadata,omitempty"`
}

// PaymentRefundedData is the payload of EventPaymentRefunded.
type PaymentRefundedData struct {
	Order       OrderID      `json:"order"`          // the order that the payment named; we may not know it
	Sale        string       `json:"sale,omitempty"` // empty: the order is unknown
	Payment     string       `json:"payment"`
	AmountMinor int64        `json:"amount_minor"`
	Currency    string       `json:"currency"`
	Reason      RefundReason `json:"reason"`
	RefundedAt  time.Time    `json:"refunded_at"`
}

// ReversalData is what is told of a reversal, as it is then.
type ReversalData struct {
	Order       OrderID       `json:"order"`          // the order that the payment named; we may not know it
	Sale        string        `json:"sale,omitempty"` // empty: the order is unknown
	Payment     string        `json:"payment"`
	ID          string        `json:"id"` // the provider's
	AmountMinor int64         `json:"amount_minor"`
	Currency    string        `json:"currency"`
	State       ReversalState `json:"state"`
	Reason      string        `json:"reason,omitempty"` // the provider's word
	HappenedAt  time.Time     `json:"happened_at"`      // when it was opened, or made
}

// PaymentDisputedData is the payload of EventPaymentDisputed.
type PaymentDisputedData struct {
	ReversalData
	RespondBy time.Time `json:"respond_by,omitzero"` // until when the organiser may answer; zero: nobody waits for that
}

// DisputeClosedData is the payload of EventDisputeClosed.
type DisputeClosedData struct{ ReversalData }

// RefundedElsewhereData is the payload of EventRefundedElsewhere.
type RefundedElsewhereData struct{ ReversalData }

// ReversalEvents are the events of a reversal that was in a state before, or is new. A
// dispute that we hear of when it has ended has both of its events.
func ReversalEvents(r *Reversal, noted *NotedReversal, before ReversalState) (events []EventData) {
	data := ReversalData{
		Order: noted.Order, Sale: noted.SaleID, Payment: r.Payment, ID: r.ID, AmountMinor: r.AmountMinor, Currency: r.Currency,
		State: r.State, Reason: r.Reason, HappenedAt: r.At,
	}
	if r.Kind == ReversalRefund {
		return []EventData{&RefundedElsewhereData{data}}
	}
	isOver := r.State.Terms().Ended
	if before == "" || !isOver {
		events = append(events, &PaymentDisputedData{data, r.RespondBy})
	}
	if isOver {
		events = append(events, &DisputeClosedData{data})
	}
	return events
}

// CheckoutEnding is what is told of a checkout that held seats and ended without a sale.
type CheckoutEnding struct {
	Order       OrderID `json:"order"`
	Sale        string  `json:"sale"`
	AmountMinor int64   `json:"amount_minor"`
	Currency    string  `json:"currency"`
	Lines       []Line  `json:"lines"`
}

// CheckoutExpiredData is the payload of EventCheckoutExpired.
type CheckoutExpiredData struct{ CheckoutEnding }

// CheckoutFailedData is the payload of EventCheckoutFailed.
type CheckoutFailedData struct{ CheckoutEnding }

// CheckoutCanceledData is the payload of EventCheckoutCanceled.
type CheckoutCanceledData struct{ CheckoutEnding }

// NewCheckoutEnding returns what is told of an order that ends so; nil: nothing is.
func NewCheckoutEnding(o *Order, ending OrderStatus) EventData {
	e := CheckoutEnding{Order: o.ID, Sale: o.SaleID, AmountMinor: o.AmountMinor, Currency: o.Currency, Lines: o.Lines}
	switch ending {
	case OrderExpired:
		return &CheckoutExpiredData{e}
	case OrderFailed:
		return &CheckoutFailedData{e}
	case OrderCanceled:
		return &CheckoutCanceledData{e}
	case OrderPending, OrderSoldOut, OrderLimitReached, OrderHeld, OrderPaid, OrderRefunding, OrderRefunded:
	}
	return nil
}

// BuyerErasedData is the payload of EventBuyerErased.
type BuyerErasedData struct {
	Order    OrderID   `json:"order"`
	Sale     string    `json:"sale"`
	ErasedAt time.Time `json:"erased_at"`
}

// HoldersChangedData is the payload of EventHoldersChanged.
type HoldersChangedData struct {
	Order     OrderID   `json:"order"`
	Sale      string    `json:"sale"`
	Tickets   []int     `json:"tickets"` // the numbers of those that are for somebody else now
	ChangedAt time.Time `json:"changed_at"`
}

// SaleCreatedData is the payload of EventSaleCreated.
type SaleCreatedData struct {
	Sale        string       `json:"sale"`
	Name        string       `json:"name"`
	Currency    string       `json:"currency"`
	Classes     []EventClass `json:"classes"`
	Perk        *EventPerk   `json:"perk,omitempty"`
	BuyerLimit  int64        `json:"buyer_limit"`
	HoldSeconds int64        `json:"hold_seconds"`
	// ProcessingSeconds is how much longer the seats are kept while a payment is processed.
	ProcessingSeconds int64       `json:"processing_seconds,omitempty"` // absent: they are not
	WaitingRoom       bool        `json:"waiting_room"`
	Capture           CaptureRule `json:"capture,omitempty"`  // after_seats; absent: automatic
	OpensAt           time.Time   `json:"opens_at,omitzero"`  // zero: opened when it was created
	ClosesAt          time.Time   `json:"closes_at,omitzero"` // zero: it does not close
	CreatedAt         time.Time   `json:"created_at"`
	Facts             Facts       `json:"facts,omitzero"` // without the long texts
}

// EventClass is a class of tickets in SaleCreatedData.
type EventClass struct {
	Class      string `json:"class"`
	Label      string `json:"label,omitempty"`
	PriceMinor int64  `json:"price_minor"`
	Capacity   int64  `json:"capacity"`

	OpensAt     time.Time `json:"opens_at,omitzero"`  // zero: with the sale
	ClosesAt    time.Time `json:"closes_at,omitzero"` // zero: with the sale
	MaxPerOrder int64     `json:"max_per_order,omitempty"`
	Hidden      bool      `json:"hidden,omitempty"` // only who has a code sees it
}

// EventPerk is a sale's perk in SaleCreatedData.
type EventPerk struct {
	Name     string `json:"name"`
	Capacity int64  `json:"capacity"`
}

// NewSaleCreatedData describes a sale.
func NewSaleCreatedData(s *Sale) *SaleCreatedData {
	e := &SaleCreatedData{
		Sale: s.ID, Name: s.Name, Currency: s.Currency, BuyerLimit: s.BuyerLimit, HoldSeconds: int64(s.HoldTimeout / time.Second),
		WaitingRoom: s.WaitingRoom, OpensAt: s.OpensAt, ClosesAt: s.ClosesAt, CreatedAt: s.CreatedAt,
		ProcessingSeconds: int64(s.ProcessingExtension / time.Second),
		Facts:             s.Facts.Brief(),
	}
	if s.Capture == CaptureAfterSeats {
		e.Capture = s.Capture
	}
	for _, c := range s.Classes {
		e.Classes = append(e.Classes, EventClass{
			Class: c.Name, Label: c.Label, PriceMinor: c.PriceMinor, Capacity: c.Capacity,
			OpensAt: c.OpensAt, ClosesAt: c.ClosesAt, MaxPerOrder: c.MaxPerOrder, Hidden: c.Hidden,
		})
	}
	if s.Perk != nil {
		e.Perk = &EventPerk{Name: s.Perk.Name, Capacity: s.Perk.Capacity}
	}
	return e
}

// SaleChangedData is the payload of EventSaleChanged: what the sale says now.
type SaleChangedData struct {
	Sale      string    `json:"sale"`
	Version   int64     `json:"version"`
	Changed   []string  `json:"changed"` // names of the members that differ, such as facts.venue
	ChangedAt time.Time `json:"changed_at"`
	Request   string    `json:"request,omitempty"` // names the organiser's request in the logs
	Editable            // without the long texts
}

// SaleOpenedData is the payload of EventSaleOpened.
type SaleOpenedData struct {
	Sale    string    `json:"sale"`
	OpensAt time.Time `json:"opens_at"` // when it was due, by the database's clock
}

// SaleSoldOutData is the payload of EventSaleSoldOut.
type SaleSoldOutData struct {
	Sale    string       `json:"sale"`
	Classes []EventStock `json:"classes"`
}

// SaleBackOnSaleData is the payload of EventSaleBackOnSale.
type SaleBackOnSaleData struct {
	Sale    string       `json:"sale"`
	Classes []EventStock `json:"classes"`
}

// EventStock is what the ledger said about a class at that moment.
type EventStock struct {
	Class     string `json:"class"`
	Capacity  int64  `json:"capacity"`
	Held      int64  `json:"held"`
	Sold      int64  `json:"sold"`
	Available int64  `json:"available"`
}

// SaleCapacityChangedData is the payload of EventSaleCapacityChanged.
type SaleCapacityChangedData struct {
	Sale     string `json:"sale"`
	Class    string `json:"class"`
	Before   int64  `json:"before"`
	Capacity int64  `json:"capacity"`
}

// SaleEndedData is the payload of EventSaleEnded.
type SaleEndedData struct {
	Sale    string    `json:"sale"`
	EndedAt time.Time `json:"ended_at"` // by the database's clock
}

// SaleReopenedData is the payload of EventSaleReopened.
type SaleReopenedData struct {
	Sale       string    `json:"sale"`
	ReopenedAt time.Time `json:"reopened_at"` // by the database's clock
}

// SaleCanceledData is the payload of EventSaleCanceled.
type SaleCanceledData struct {
	Sale        string    `json:"sale"`
	RequestedAt time.Time `json:"requested_at"`
}

// AuditBrokenData is the payload of EventAuditBroken.
type AuditBrokenData struct{ AuditFinding }

// AuditHealedData is the payload of EventAuditHealed.
type AuditHealedData struct{ AuditFinding }

// Type implements EventData.
func (*OrderPaidData) Type() EventType { return EventOrderPaid }

// Type implements EventData.
func (*OrderRefundBegunData) Type() EventType { return EventOrderRefundBegun }

// Type implements EventData.
func (*OrderRefundedData) Type() EventType { return EventOrderRefunded }

// Type implements EventData.
func (*PaymentRefundedData) Type() EventType { return EventPaymentRefunded }

// Type implements EventData.
func (*PaymentDisputedData) Type() EventType { return EventPaymentDisputed }

// Type implements EventData.
func (*DisputeClosedData) Type() EventType { return EventDisputeClosed }

// Type implements EventData.
func (*RefundedElsewhereData) Type() EventType { return EventRefundedElsewhere }

// Type implements EventData.
func (*CheckoutExpiredData) Type() EventType { return EventCheckoutExpired }

// Type implements EventData.
func (*CheckoutFailedData) Type() EventType { return EventCheckoutFailed }

// Type implements EventData.
func (*CheckoutCanceledData) Type() EventType { return EventCheckoutCanceled }

// Type implements EventData.
func (*BuyerErasedData) Type() EventType { return EventBuyerErased }

// Type implements EventData.
func (*HoldersChangedData) Type() EventType { return EventHoldersChanged }

// Type implements EventData.
func (*SaleCreatedData) Type() EventType { return EventSaleCreated }

// Type implements EventData.
func (*SaleChangedData) Type() EventType { return EventSaleChanged }

// Type implements EventData.
func (*SaleOpenedData) Type() EventType { return EventSaleOpened }

// Type implements EventData.
func (*SaleSoldOutData) Type() EventType { return EventSaleSoldOut }

// Type implements EventData.
func (*SaleBackOnSaleData) Type() EventType { return EventSaleBackOnSale }

// Type implements EventData.
func (*SaleCapacityChangedData) Type() EventType { return EventSaleCapacityChanged }

// Type implements EventData.
func (*SaleEndedData) Type() EventType { return EventSaleEnded }

// Type implements EventData.
func (*SaleReopenedData) Type() EventType { return EventSaleReopened }

// Type implements EventData.
func (*SaleCanceledData) Type() EventType { return EventSaleCanceled }

// Type implements EventData.
func (*AuditBrokenData) Type() EventType { return EventAuditBroken }

// Type implements EventData.
func (*AuditHealedData) Type() EventType { return EventAuditHealed }
