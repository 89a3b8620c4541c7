package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/ratelimit"
)

// Mails are what is due to buyers. orders.Store keeps them; see there.
type Mails interface {
	// AskForOrders makes a mail with the orders of an address due, once an id. CodeOverloaded.
	AskForOrders(ctx context.Context, id, address, languages string) error
	// SetAsideMails lists those that no relay takes, by their ids.
	SetAsideMails(ctx context.Context, after string, most int) ([]domain.SetAsideMail, error)
	// RetryMail makes one of those due again. CodeNotFound.
	RetryMail(ctx context.Context, id string) error
}

// How often the orders of addresses may be asked for: by a client, and in all on this node. Of one
// address: once in domain.AskWindow, whoever asks.
var (
	asksPerClient = ratelimit.Rate{PerSecond: 1.0 / 60, Burst: 10}
	asksInAll     = ratelimit.Rate{PerSecond: 5, Burst: 100}
)

// An askLimiter bounds questions for the orders of an address, without looking at it.
type askLimiter struct {
	byClient *ratelimit.Buckets[netip.Addr]
	all      *ratelimit.Buckets[struct{}]
}

func newAskLimiter() (l askLimiter, err error) {
	var errAll error
	l.byClient, err = ratelimit.New[netip.Addr](asksPerClient, ratelimit.ClientsMax)
	l.all, errAll = ratelimit.New[struct{}](asksInAll, 1)
	return l, errors.Join(err, errAll)
}

func (l askLimiter) wait(client netip.Addr, isCounted bool, now time.Time) time.Duration {
	if isCounted {
		if wait := l.byClient.Take(client, now); wait > 0 {
			return wait
		}
	}
	return l.all.Take(struct{}{}, now)
}

type askInput struct {
	AcceptLanguage string `header:"Accept-Language" doc:"The languages of the mail, best first"`
	Body           AskBody
}

// AskBody is whose orders are asked for.
type AskBody struct {
	Email string `json:"email" maxLength:"254" doc:"The address that the orders were made with"`
}

type askedOutput struct{ Body AskedView }

// AskedView is the same for every address.
type AskedView struct {
	Sent string `json:"sent" enum:"if_there_are_any" doc:"The orders of the address are mailed to it, if there are any"`
}

// askForOrders answers every address alike and does the same for each: one row is written.
// Whether there are orders is looked up later, where nobody waits for it.
func (s *Server) askForOrders(ctx context.Context, in *askInput) (*askedOutput, error) {
	if err := s.hasMails(); err != nil {
		return nil, err
	}
	address, err := domain.NormalizeEmail(in.Body.Email)
	if err != nil {
		return nil, domain.Invalid("email", "must be an e-mail address such as a@example.com")
	}
	now := time.Now()
	client, isCounted := s.guesser(ctx)
	if wait := s.asks.wait(client, isCounted, now); wait > 0 {
		return nil, &domain.Error{Code: domain.CodeRateLimited, Detail: "Orders are asked for too often. Nothing was done.", RetryAfter: wait}
	}
	_, err = admission.Guard(ctx, s.Admission.Breakers.Database, func() (struct{}, error) {
		return struct{}{}, s.Mails.AskForOrders(ctx, s.Keys.AskedMailID(address, now), address, domain.KnownLanguages(in.AcceptLanguage))
	})
	if err != nil {
		return nil, err
	}
	return &askedOutput{AskedView{"if_there_are_any"}}, nil
}

func (s *Server) hasMails() error {
	if s.Mails == nil {
		return &domain.Error{Code: domain.CodeNotFound, Detail: "This box office sends no mail."}
	}
	return nil
}

type setAsideInput struct {
	After string `query:"after" maxLength:"128" doc:"The next of the page before"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"500"`
}

type setAsideOutput struct{ Body SetAsideView }

// SetAsideView is a page of the mails that no relay takes.
type SetAsideView struct {
	Mails []SetAsideMailView `json:"mails"`
	Next  string             `json:"next,omitempty" doc:"Pass it as after; absent on the last page"`
}

// SetAsideMailView is a mail that somebody must look at.
type SetAsideMailView struct {
	Mail       string          `json:"mail" doc:"Its id; part of the Message-ID"`
	Kind       domain.MailKind `json:"kind" enum:"tickets,refund_begun,refunded,orders"`
	Order      *domain.OrderID `json:"order,omitempty" doc:"Absent: somebody asked for the orders of an address"`
	Reason     string          `json:"reason" doc:"What the relay said, without the address"`
	Attempts   int             `json:"attempts"`
	QueuedAt   time.Time       `json:"queued_at"`
	SetAsideAt time.Time       `json:"set_aside_at"`
}

func (s *Server) setAsideMails(ctx context.Context, in *setAsideInput) (*setAsideOutput, error) {
	if err := s.hasMails(); err != nil {
		return nil, err
	}
	mails, err := s.Mails.SetAsideMails(ctx, in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &setAsideOutput{SetAsideView{Mails: make([]SetAsideMailView, 0, len(mails))}}
	for _, m := range mails {
		view := SetAsideMailView{
			Mail: m.ID, Kind: m.Kind, Reason: m.Reason, Attempts: m.Attempts, QueuedAt: m.QueuedAt, SetAsideAt: m.SetAsideAt,
		}
		if !m.Order.IsZero() {
			view.Order = &m.Order
		}
		out.Body.Mails = append(out.Body.Mails, view)
	}
	if len(mails) == in.Limit {
		out.Body.Next = mails[len(mails)-1].ID
	}
	return out, nil
}

type mailInput struct {
	Mail string `path:"mail" maxLength:"128" doc:"The mail's id"`
}

type retriedOutput struct{ Body RetriedView }

// RetriedView says that a mail is due again.
type RetriedView struct {
	Mail string `json:"mail"`
}

func (s *Server) retryMail(ctx context.Context, in *mailInput) (*retriedOutput, error) {
	if err := s.hasMails(); err != nil {
		return nil, err
	}
	if err := s.Mails.RetryMail(ctx, in.Mail); err != nil {
		return nil, err
	}
	return &retriedOutput{RetriedView{in.Mail}}, nil
}

// routeAsk registers how a buyer gets their links again.
func (s *Server) routeAsk(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "ask-for-orders", Method: http.MethodPost, Path: "/v1/order-links",
		Summary: "Mail a buyer the links of their orders", Tags: []string{"checkout"},
		Description: "The answer is the same for every address, and nobody learns whether there are orders of it. " +
			"An address gets one such mail within an hour, however often it is asked for. 404: this box office sends no mail.",
		DefaultStatus: http.StatusAccepted,
	}, []domain.Code{domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, domain.CodeUnknown, codeMediaType}, s.askForOrders)
}

// routeMails registers what the organiser uses.
func (s *Server) routeMails(api huma.API, admin func(huma.Operation) huma.Operation) {
	operation(s, api, admin(huma.Operation{
		OperationID: "list-set-aside-mails", Method: http.MethodGet, Path: "/v1/mails/set-aside",
		Summary: "Mails to buyers that no relay takes", Description: "With what it said. Mend the cause and retry.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.setAsideMails)

	operation(s, api, admin(huma.Operation{
		OperationID: "retry-mail", Method: http.MethodPost, Path: "/v1/mails/{mail}/retry", DefaultStatus: http.StatusAccepted,
		Summary: "Send a mail that was set aside", Description: "404: it is not set aside.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded, domain.CodeUnknown}, s.retryMail)
}
