package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/audit"
	"boxoffice/domain"
	"boxoffice/restore"
)

type saleInput struct {
	Sale string `path:"sale" doc:"The sale's id"`
}

type saleOutput struct {
	ETag string `header:"ETag" doc:"The version of what the organiser can change; the stock does not belong to it"`
	Body SaleView
}

func (s *Server) sale(ctx context.Context, in *saleInput) (*saleOutput, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	levels, err := s.Catalog.Stock(ctx, sale)
	if err != nil {
		return nil, err
	}
	out := &saleOutput{etagOf(sale), viewSale(sale.Public(), levels, time.Now())}
	out.Body.Interrupted = s.interrupted(sale.ID)
	return out, nil
}

// definition shows a sale to its organiser: as it is stored now, because a change is made to what this shows.
func (s *Server) definition(ctx context.Context, in *saleInput) (*saleOutput, error) {
	s.Catalog.Forget(in.Sale)
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	return s.showSale(ctx, sale)
}

// showSale shows a sale with its stock to the organiser: hidden classes too.
func (s *Server) showSale(ctx context.Context, sale *domain.Sale) (*saleOutput, error) {
	levels, err := s.Catalog.Stock(ctx, sale)
	if err != nil {
		return nil, err
	}
	return &saleOutput{etagOf(sale), viewSale(sale, levels, time.Now())}, nil
}

func (s *Server) events(ctx context.Context, in *saleInput) (*huma.StreamResponse, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	mailbox, leave, err := s.hub.subscribe(sale)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer leave()
		s.hub.stream(ctx, mailbox)
	}}, nil
}

type createSaleInput struct{ Body CreateSaleBody }

// CreateSaleBody describes a new sale. Afterwards only what ChangeSaleBody names can be changed.
type CreateSaleBody struct {
	ID                string            `json:"id" doc:"1–63 lower-case letters, digits, hyphens" example:"conference-2027"`
	Name              string            `json:"name"`
	Currency          string            `json:"currency" doc:"ISO 4217" example:"EUR"`
	Classes           []CreateClassBody `json:"classes" minItems:"1" maxItems:"12"`
	Perk              *CreatePerkBody   `json:"perk,omitempty" doc:"An extra for the first paid orders"`
	Facts             *FactsBody        `json:"facts,omitempty" doc:"What people should know of what is sold"`
	OpensAt           *time.Time        `json:"opens_at,omitempty" doc:"Absent: at once"`
	ClosesAt          *time.Time        `json:"closes_at,omitempty" doc:"From then on nothing new is held; what is held can still be paid. Absent: it does not close"`
	HoldSeconds       *int64            `json:"hold_seconds,omitempty" doc:"How long a checkout waits for its payment; absent: 600" minimum:"5" maximum:"86400"`
	ProcessingSeconds *int64            `json:"processing_seconds,omitempty" doc:"How much longer than hold_seconds the seats are kept while a payment is being processed, such as a bank debit or a voucher; buyers are then offered such methods, as long as the event starts later. Needs a provider that has them, and capture automatic. Absent: only methods whose payment is decided at once" minimum:"5" maximum:"2592000"`
	BuyerLimit        *int64            `json:"buyer_limit,omitempty" doc:"Tickets per buyer; absent: 8" minimum:"1" maximum:"100"`
	WaitingRoom       bool              `json:"waiting_room,omitempty" doc:"Buyers queue and are let in as fast as checkouts go through"`
	Queue             *CreateQueueBody  `json:"queue,omitempty" doc:"With waiting_room: how fast people may be let in, and who witnesses the draw"`

	BuyersKeptDays *int64 `json:"buyers_kept_days,omitempty" minimum:"1" maximum:"3650" doc:"For how many days after the sale's end the data of its buyers are kept, then they are erased; absent: until they are erased on request"`

	Provider string `json:"provider,omitempty" doc:"The name of a configured payment provider; absent: the first one"`
	Capture  string `json:"capture,omitempty" enum:"automatic,after_seats" doc:"When the money is taken. automatic: the moment the buyer pays. after_seats: the buyer's payment authorises it, and it is captured once the seats are sold; what comes too late is released, and nothing was taken. Absent: automatic"`

	OneCheckoutPerBuyer *bool                `json:"one_checkout_per_buyer,omitempty" doc:"Whether a buyer may have only one unpaid checkout at a time; absent: the same as waiting_room"`
	Entitlement         *EntitlementRuleBody `json:"entitlement,omitempty" doc:"With waiting_room: what people need to join the queue. Absent: nothing, everybody may join"`
	FoldEmailAliases    bool                 `json:"fold_email_aliases,omitempty" doc:"Whether the aliases of one mailbox (name+tag, full stops at providers that ignore them, googlemail.com) are one buyer; absent: no, every address is its own buyer"`
}

// CreateClassBody describes a ticket class.
type CreateClassBody struct {
	Class    string `json:"class" example:"A"`
	Label    string `json:"label,omitempty" doc:"What people call it; absent: its id" example:"Stalls, left"`
	Price    int64  `json:"price" doc:"Minor units; 0: free. An order of 0 in all needs no payment provider" example:"6500"`
	Capacity int64  `json:"capacity"`

	OpensAt     *time.Time `json:"opens_at,omitempty" doc:"The class is sold from then on, if the sale is open; absent: as long as the sale is"`
	ClosesAt    *time.Time `json:"closes_at,omitempty" doc:"Nothing new of the class is held from then on; absent: as long as the sale is open"`
	MaxPerOrder *int64     `json:"max_per_order,omitempty" minimum:"1" maximum:"100" doc:"Tickets of the class in one order; absent: as many as a buyer may have"`
	Hidden      bool       `json:"hidden,omitempty" doc:"Only who has a code sees and gets it. It stays so"`
}

// CreatePerkBody describes a perk.
type CreatePerkBody struct {
	Name     string `json:"name" example:"T-shirt"`
	Capacity int64  `json:"capacity"`
}

func (b *CreateSaleBody) sale(now time.Time) *domain.Sale {
	sale := &domain.Sale{
		ID: b.ID, Name: b.Name, Currency: b.Currency, Facts: b.Facts.facts(),
		HoldTimeout: DefaultHoldTimeout, BuyerLimit: DefaultBuyerLimit, WaitingRoom: b.WaitingRoom,
		// Milliseconds, as order ids have them; the database keeps no more than microseconds.
		CreatedAt: now.UTC().Truncate(time.Millisecond),
	}
	if b.HoldSeconds != nil {
		sale.HoldTimeout = time.Duration(*b.HoldSeconds) * time.Second
	}
	if b.ProcessingSeconds != nil {
		sale.ProcessingExtension = time.Duration(*b.ProcessingSeconds) * time.Second
	}
	if b.BuyerLimit != nil {
		sale.BuyerLimit = *b.BuyerLimit
	}
	if b.BuyersKeptDays != nil {
		sale.BuyersKeptDays = *b.BuyersKeptDays
	}
	sale.OneCheckoutPerBuyer = b.WaitingRoom
	if b.OneCheckoutPerBuyer != nil {
		sale.OneCheckoutPerBuyer = *b.OneCheckoutPerBuyer
	}
	if b.FoldEmailAliases {
		sale.AliasRule = domain.AliasesFolded
	}
	sale.Capture = cmp.Or(domain.CaptureRule(b.Capture), domain.CaptureAutomatic)
	sale.OpensAt, sale.ClosesAt = timeOrZero(b.OpensAt), timeOrZero(b.ClosesAt)
	for _, c := range b.Classes {
		class := domain.Class{
			Name: c.Class, Label: strings.TrimSpace(c.Label), PriceMinor: c.Price, Capacity: c.Capacity,
			OpensAt: timeOrZero(c.OpensAt), ClosesAt: timeOrZero(c.ClosesAt), Hidden: c.Hidden,
		}
		if c.MaxPerOrder != nil {
			class.MaxPerOrder = *c.MaxPerOrder
		}
		sale.Classes = append(sale.Classes, class)
	}
	if b.Perk != nil {
		sale.Perk = &domain.Perk{Name: b.Perk.Name, Capacity: b.Perk.Capacity}
	}
	return sale
}

// timeOrZero is a time of a request, as exact as the database keeps it.
func timeOrZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC().Truncate(time.Millisecond)
}

// createSale stores the sale, funds its accounts, then puts it on offer: no order may
// name an account that does not exist yet, because that burns the order's transfer ids.
// After a crash between the steps, repeat the request.
func (s *Server) createSale(ctx context.Context, in *createSaleInput) (*saleOutput, error) {
	sale := in.Body.sale(time.Now())
	var err error
	if sale.Entitlement, err = in.Body.Entitlement.rule(); err != nil {
		return nil, err
	}
	sale.Provider = cmp.Or(in.Body.Provider, s.Providers.Default())
	if err := sale.Validate(); err != nil {
		return nil, err
	}
	if !s.Providers.Has(sale.Provider) {
		return nil, domain.Invalid("provider", "must be a payment provider that is configured: "+strings.Join(s.Providers.Names(), ", "))
	}
	if sale.Capture == domain.CaptureAfterSeats && !s.Providers.Authorizes(sale.Provider) {
		return nil, domain.Invalid("capture", fmt.Sprintf("payment provider %s, as it is configured, cannot authorise a payment and capture it later", sale.Provider))
	}
	if sale.ProcessingExtension > 0 && !s.Providers.Delays(sale.Provider) {
		return nil, domain.Invalid("processing_seconds", fmt.Sprintf("payment provider %s, as it is configured, has no methods whose payment is processed for a while", sale.Provider))
	}
	if err := s.checkPrices(sale); err != nil {
		return nil, err
	}
	if err := s.checkQueue(&in.Body); err != nil {
		return nil, err
	}
	actOn(ctx, salesRoute+"/"+sale.ID)
	sale, err = s.Orders.CreateSale(ctx, sale)
	if err != nil {
		return nil, err
	}
	if err := s.Books.OpenSale(ctx, sale); err != nil {
		return nil, err
	}
	if err := s.furnish(ctx, sale, in.Body.Queue); err != nil {
		return nil, err
	}
	if err := s.Orders.MarkSaleOpen(ctx, sale.ID); err != nil {
		return nil, err
	}
	s.Catalog.Forget(sale.ID)
	return s.showSale(ctx, sale)
}

// checkPrices refuses prices that the sale's provider cannot take, and those of which an
// order may have so many that it cannot.
func (s *Server) checkPrices(sale *domain.Sale) error {
	for i := range sale.Classes {
		if rule, tickets := s.checkPrice(sale, &sale.Classes[i]); rule != "" {
			if tickets > 1 {
				rule = fmt.Sprintf("is too high for the %d tickets that one order may have: that %s", tickets, rule)
			}
			return domain.Invalid(fmt.Sprintf("classes[%d].price", i), rule)
		}
	}
	return nil
}

// checkPrice says why the provider cannot take the price of so many tickets of a class: of
// one, or of as many as one order may have. Empty: it takes both.
func (s *Server) checkPrice(sale *domain.Sale, class *domain.Class) (rule string, tickets int64) {
	most := sale.BuyerLimit
	if class.MaxPerOrder > 0 {
		most = min(most, class.MaxPerOrder)
	}
	for _, tickets := range []int64{1, most} {
		if class.PriceMinor == 0 {
			continue // nobody is asked to take it
		}
		err := s.Providers.CheckAmount(sale.Provider, tickets*class.PriceMinor, sale.Currency)
		var refused *domain.Error
		if errors.As(err, &refused) {
			return strings.TrimPrefix(refused.Detail, refused.Field+" "), tickets
		}
	}
	return "", 0
}

type adminOrderInput struct {
	Order string `path:"order"`
}

func (s *Server) refund(ctx context.Context, in *adminOrderInput) (*statusOutput, error) {
	id, err := domain.ParseOrderID(in.Order)
	if err != nil {
		return nil, domain.NotFound("order")
	}
	defer s.orderViews.changed(id)
	orderStatus, err := s.Desk.Refund(ctx, id)
	if err != nil {
		return nil, err
	}
	status := http.StatusAccepted
	if orderStatus == domain.OrderRefunded {
		status = http.StatusOK
	}
	return &statusOutput{status, StatusView{id, orderStatus}}, nil
}

type auditOutput struct{ Body audit.Report }

func (s *Server) auditRest(ctx context.Context, _ *struct{}) (*auditOutput, error) {
	report, err := s.Auditor.Audit(ctx, "")
	if err != nil {
		return nil, err
	}
	return &auditOutput{report}, nil
}

func (s *Server) audit(ctx context.Context, in *saleInput) (*auditOutput, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	report, err := s.Auditor.Audit(ctx, sale.ID)
	if err != nil {
		return nil, err
	}
	return &auditOutput{report}, nil
}

type restoreOutput struct{ Body restore.Report }

// RestoreBody says whether anything is written.
type RestoreBody struct {
	Apply bool `json:"apply" required:"false" doc:"Write it; otherwise the answer says what would be written"`
}

type restoreInput struct {
	Sale string `path:"sale"`
	Body RestoreBody
}

type restoreRestInput struct{ Body RestoreBody }

func (s *Server) restoreRest(ctx context.Context, in *restoreRestInput) (*restoreOutput, error) {
	report, err := s.Auditor.Restore(ctx, "", in.Body.Apply)
	if err != nil {
		return nil, err
	}
	return &restoreOutput{report}, nil
}

func (s *Server) restore(ctx context.Context, in *restoreInput) (*restoreOutput, error) {
	sale, err := s.Catalog.Sale(ctx, in.Sale)
	if err != nil {
		return nil, err
	}
	report, err := s.Auditor.Restore(ctx, sale.ID, in.Body.Apply)
	if err != nil {
		return nil, err
	}
	return &restoreOutput{report}, nil
}
