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

// Mails is the queue of mails to buyers. orders.Store is one; see there.
type Mails interface {
	// AskForOrders queues a mail with the orders of an address, once per id. CodeOverloaded.
	AskForOrders(ctx context.Context, id, address, languages string) error
	// SetAsideMails lists the mails that no relay accepts, sorted by id.
	SetAsideMails(ctx context.Context, after string, most int) ([]domain.SetAsideMail, error)
	// RetryMail queues one of those again. CodeNotFound.
	RetryMail(ctx context.Context, id string) error
}

// How often clients may ask for the orders of an address: each client, and all together on this
// node. For one address, one mail is sent in domain.AskWindow, whoever asks.
var (
	asksPerClient = ratelimit.Rate{PerSecond: 1.0 / 60, Burst: 10}
	asksInAll     = ratelimit.Rate{PerSecond: 5, Burst: 100}
)

// An askLimiter bounds these requests without looking at the address.
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

// AskBody says whose orders to mail.
type AskBody struct {
	Email string `json:"email" maxLength:"254" doc:"The address that the orders were made with"`
}

type askedOutput struct{ Body AskedView }

// AskedView is the same for every address.
type AskedView struct {
	Sent string `json:"sent" enum:"if_there_are_any" doc:"The orders of the address are mailed to it, if there are any"`
}

// askForOrders does and answers the same for every address: it writes one row. Whether there are
// orders is looked up later, when nobody waits for it.
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
		return nil, &domain.Error{Code: domain.CodeRateLimited, Detail: "Too many requests for orders by mail. Nothing was done.", RetryAfter: wait}
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
	After string `query:"after" maxLength:"128" doc:"next of the previous page"`
	Limit int    `query:"limit" default:"100" minimum:"1" maximum:"500"`
}

type setAsideOutput struct{ Body SetAsideView }

// SetAsideView is a page of the mails that no relay accepts.
type SetAsideView struct {
	Mails []SetAsideMailView `json:"mails"`
	Next  string             `json:"next,omitempty" doc:"Pass it as after; absent on the last page"`
}

// SetAsideMailView is a mail that an operator must look at.
type SetAsideMailView struct {
	Mail       string          `json:"mail" doc:"Its id; part of the Message-ID"`
	Kind       domain.MailKind `json:"kind" enum:"tickets,refund_begun,refunded,orders"`
	Order      *domain.OrderID `json:"order,omitempty" doc:"Absent: somebody asked for the orders of an address"`
	Reason     string          `json:"reason" doc:"The relay's answer, without the address"`
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

// RetriedView says that a mail is queued again.
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

// routeAsk registers the route by which buyers get their links again.
func (s *Server) routeAsk(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "ask-for-orders", Method: http.MethodPost, Path: "/v1/order-links",
		Summary: "Mail a buyer the links of their orders", Tags: []string{"checkout"},
		Description: "The answer is the same for every address, so nobody learns whether it has orders. " +
			"An address gets at most one such mail an hour, however often somebody asks. 404: this box office sends no mail.",
		DefaultStatus: http.StatusAccepted,
	}, []domain.Code{domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, domain.CodeUnknown, codeMediaType}, s.askForOrders)
}

// routeMails registers the organiser's routes.
func (s *Server) routeMails(api huma.API, admin func(huma.Operation) huma.Operation) {
	operation(s, api, admin(huma.Operation{
		OperationID: "list-set-aside-mails", Method: http.MethodGet, Path: "/v1/mails/set-aside",
		Summary: "Mails to buyers that no relay accepts", Description: "With the relay's answer. Fix the cause, then retry.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.setAsideMails)

	operation(s, api, admin(huma.Operation{
		OperationID: "retry-mail", Method: http.MethodPost, Path: "/v1/mails/{mail}/retry", DefaultStatus: http.StatusAccepted,
		Summary: "Send a mail that was set aside", Description: "404: it is not set aside.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded, domain.CodeUnknown}, s.retryMail)
}
