package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"boxoffice/domain"
)

// An Exporter reads everything that is kept of a buyer. erasure.Exporter is one.
type Exporter interface {
	// Export calls visit with each record, sorted by order, and returns the mails that were
	// asked for by an address of the buyer.
	Export(ctx context.Context, address string, visit func(*domain.BuyersRecord) error) ([]domain.AskedMail, error)
}

const exportRoute = "/v1/exports"

type exportInput struct{ Body ExportBody }

// ExportBody says whose data is exported.
type ExportBody struct {
	Email string `json:"email" maxLength:"254" doc:"The buyer's address, in any spelling of the same mailbox"`
}

// ExportView is everything that is kept of a buyer.
type ExportView struct {
	Email  string          `json:"email" doc:"In its normal form"`
	Orders []ExportedOrder `json:"orders" doc:"Sorted by id, which means by time"`
	Mails  []ExportedAsked `json:"asked_mails" doc:"Mails that somebody asked for by the address and that are not settled yet"`
	Whole  bool            `json:"complete" doc:"The last member. A document without it is not whole"`
}

// ExportedOrder is what is kept of a sold order, or of a checkout that ended without a sale.
type ExportedOrder struct {
	Order    domain.OrderID     `json:"order"`
	Sale     string             `json:"sale,omitempty"`
	SaleName string             `json:"sale_name,omitempty"`
	Status   domain.OrderStatus `json:"status,omitempty" doc:"Absent: it was never sold"`
	Email    string             `json:"email,omitempty" doc:"As the order has it: in a sale that folds aliases it may be another one of the mailbox"`
	Buyer    string             `json:"buyer,omitempty" doc:"The buyer's pseudonym in this sale, which the ledger goes by"`
	Items    []OrderItem        `json:"items,omitempty"`
	Tickets  []domain.Ticket    `json:"tickets,omitempty"`
	Amount   int64              `json:"amount,omitempty" doc:"Minor units"`
	Currency string             `json:"currency,omitempty"`
	Metadata map[string]string  `json:"metadata,omitempty"`

	Payment     string     `json:"payment,omitempty"`
	Session     string     `json:"payment_session,omitempty"`
	PaidAt      *time.Time `json:"paid_at,omitempty"`
	RefundingAt *time.Time `json:"refunding_at,omitempty"`
	RefundedAt  *time.Time `json:"refunded_at,omitempty"`
	ErasedAt    *time.Time `json:"erased_at,omitempty"`

	Refunds []ExportedRefund `json:"refunds,omitempty"`
	Mails   []ExportedMail   `json:"mails,omitempty" doc:"What became of the mails about it. Their texts are not kept"`

	Endpoints []json.RawMessage `json:"endpoint_answers,omitempty" doc:"Attempts to deliver its events to webhook endpoints, with what they answered"`
	Readers   []string          `json:"reader_errors,omitempty" doc:"What readers of the event log said that could not take its events"`

	Checkout *ExportedCheckout `json:"checkout,omitempty" doc:"What Temporal still has, until its retention ends"`
}

// ExportedRefund is money that went back, or is on its way.
type ExportedRefund struct {
	Payment     string              `json:"payment"`
	Amount      int64               `json:"amount" doc:"Minor units"`
	Currency    string              `json:"currency"`
	Reason      domain.RefundReason `json:"reason"`
	RequestedAt time.Time           `json:"requested_at"`
	RefundedAt  *time.Time          `json:"refunded_at,omitempty"`
}

// ExportedMail is a mail about an order.
type ExportedMail struct {
	ID        string           `json:"id"`
	Kind      domain.MailKind  `json:"kind"`
	State     domain.MailState `json:"state"`
	Reason    string           `json:"reason,omitempty"`
	QueuedAt  time.Time        `json:"queued_at"`
	SettledAt *time.Time       `json:"settled_at,omitempty"`
}

// ExportedAsked is a mail that was asked for by address.
type ExportedAsked struct {
	State    domain.MailState `json:"state"`
	QueuedAt time.Time        `json:"queued_at"`
}

// ExportedCheckout is an order as it was placed.
type ExportedCheckout struct {
	Open     bool              `json:"open" doc:"It has not ended: its contents are sealed until it has"`
	Email    string            `json:"email,omitempty"`
	Items    []OrderItem       `json:"items,omitempty"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

func exported(r *domain.BuyersRecord) *ExportedOrder {
	e := &ExportedOrder{Order: r.ID, Endpoints: r.Answers, Readers: r.SetAside}
	if o := r.Sold; o != nil {
		e.Sale, e.SaleName, e.Status, e.Email, e.Buyer = o.SaleID, o.SaleName, o.Status, o.Email, o.Buyer.String()
		e.Items, e.Tickets, e.Amount, e.Currency, e.Metadata = viewLines(o.Lines), o.Tickets, o.AmountMinor, o.Currency, o.Metadata
		e.Payment, e.Session, e.PaidAt = o.Capture.Payment, o.Capture.Session, timeOrNil(o.PaidAt)
		e.RefundingAt, e.RefundedAt, e.ErasedAt = timeOrNil(o.RefundingAt), timeOrNil(o.RefundedAt), timeOrNil(o.ErasedAt)
	}
	for _, b := range r.Refunds {
		e.Refunds = append(e.Refunds, ExportedRefund{
			b.Capture.Payment, b.Capture.AmountMinor, b.Capture.Currency, b.Reason, b.RequestedAt.UTC(), timeOrNil(b.RefundedAt),
		})
	}
	for _, m := range r.Mails {
		e.Mails = append(e.Mails, ExportedMail{m.ID, m.Kind, m.State, m.Reason, m.QueuedAt, timeOrNil(m.SettledAt)})
	}
	if p := r.Placed; p != nil {
		e.Checkout = &ExportedCheckout{Open: p.Open}
		if o := p.Order; o != nil {
			if e.Sale == "" {
				e.Sale, e.SaleName, e.Buyer = o.SaleID, o.SaleName, o.Buyer.String()
			}
			e.Checkout.Email, e.Checkout.Items, e.Checkout.Metadata = o.Email, viewLines(o.Lines), o.Metadata
		}
	}
	return e
}

// export writes a document as it is read, so that a buyer of many orders needs no memory.
func (s *Server) export(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
	if s.Exporter == nil {
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This node exports nobody."}
	}
	address, err := domain.NormalizeEmail(in.Body.Email)
	if err != nil {
		return nil, domain.Invalid("email", "must be an e-mail address such as a@example.com")
	}
	return &huma.StreamResponse{Body: func(to huma.Context) {
		w := &exportWriter{to: to}
		mails, err := s.Exporter.Export(ctx, address, func(r *domain.BuyersRecord) error { return w.order(address, exported(r)) })
		if err == nil {
			err = w.end(address, mails)
		}
		switch {
		case err == nil:
			s.log.InfoContext(ctx, "the organiser exported what is kept of a buyer", "request", requestID(ctx), "orders", w.orders)
		case w.begun: // the document lacks its end
			s.log.WarnContext(ctx, "an export of a buyer broke off", "request", requestID(ctx), "err", err)
		default:
			s.abort(humagin.Unwrap(to), err)
		}
	}}, nil
}

// An exportWriter writes an ExportView piece by piece.
type exportWriter struct {
	to     huma.Context
	begun  bool
	orders int
}

func (w *exportWriter) write(format string, args ...any) error {
	_, err := fmt.Fprintf(w.to.BodyWriter(), format, args...)
	return err
}

func (w *exportWriter) begin(address string) error {
	if w.begun {
		return nil
	}
	w.begun = true
	w.to.SetStatus(http.StatusOK)
	w.to.SetHeader("Content-Type", "application/json")
	email, err := json.Marshal(address)
	if err != nil {
		return err
	}
	return w.write(`{"email":%s,"orders":[`, email)
}

func (w *exportWriter) order(address string, order *ExportedOrder) error {
	if err := w.begin(address); err != nil {
		return err
	}
	raw, err := json.Marshal(order)
	if err != nil {
		return err
	}
	separator := ",\n"
	if w.orders == 0 {
		separator = "\n"
	}
	w.orders++
	return w.write("%s%s", separator, raw)
}

func (w *exportWriter) end(address string, mails []domain.AskedMail) error {
	if err := w.begin(address); err != nil {
		return err
	}
	asked := make([]ExportedAsked, 0, len(mails))
	for _, m := range mails {
		asked = append(asked, ExportedAsked(m))
	}
	raw, err := json.Marshal(asked)
	if err != nil {
		return err
	}
	return w.write("],\n\"asked_mails\":%s,\"complete\":true}\n", raw)
}

// routeExport registers how the organiser exports a buyer.
func (s *Server) routeExport(api huma.API, admin func(huma.Operation) huma.Operation) {
	schema := s.document.Components.Schemas.Schema(reflect.TypeFor[ExportView](), true, "ExportView")
	operation(s, api, admin(huma.Operation{
		OperationID: "export-buyer", Method: http.MethodPost, Path: exportRoute,
		Summary: "Export everything that is kept of a buyer",
		Description: "What POST /v1/erasures would erase, and what is beside it. The document is written as it is read: if its last member, `complete`, is missing, " +
			"something failed: ask again. It may take up to two minutes.",
		Responses: map[string]*huma.Response{"200": {Description: "All of it", Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}},
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeMediaType}, s.export)
}
