package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/admission"
	"boxoffice/domain"
)

// HolderNamesBody says whether buyers may say who each ticket is for.
type HolderNamesBody struct {
	Asked bool       `json:"asked"`
	Until *time.Time `json:"until,omitempty" doc:"When names can no longer be changed; absent: when it begins, if the sale says when"`
}

// HoldersBody says who tickets are for.
type HoldersBody struct {
	Holders []HolderBody `json:"holders" minItems:"1" maxItems:"100" doc:"Tickets that are not named stay as they are"`
}

// HolderBody says who a ticket is for.
type HolderBody struct {
	Number int    `json:"number" doc:"The ticket's number within the order"`
	Name   string `json:"name" doc:"Up to 200 bytes in one line; empty: nobody in particular" example:"Kim Minjun"`
}

type holdersInput struct {
	Order         string `path:"order" doc:"The order's id: 32 lower-case hexadecimal digits"`
	Authorization string `header:"Authorization" doc:"Bearer, and the order's token"`
	Body          HoldersBody
}

// changeHolders stores who tickets are for.
func (s *Server) changeHolders(ctx context.Context, in *holdersInput) (*orderOutput, error) {
	id, err := s.authorize(in.Order, in.Authorization)
	if err != nil {
		return nil, err
	}
	change := domain.HoldersChange{Order: id}
	for _, h := range in.Body.Holders {
		change.Holders = append(change.Holders, domain.Holder{Ticket: h.Number, Name: h.Name})
	}
	if change.Holders, err = domain.NormalHolders(change.Holders); err != nil {
		return nil, err
	}
	defer s.orderViews.changed(id)
	order, err := admission.Guard(ctx, s.Admission.Breakers.Database, func() (domain.SoldOrder, error) { return s.Orders.ChangeHolders(ctx, change) })
	if err != nil {
		return nil, err
	}
	view := viewSoldOrder(&order)
	if sale, err := s.Catalog.Sale(ctx, view.Sale); err == nil {
		view = view.withFacts(sale, time.Now())
	}
	return &orderOutput{view}, nil
}

func (s *Server) routeHolders(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "name-holders", Method: http.MethodPut, Path: "/v1/orders/{order}/holders",
		Summary: "Say who an order's tickets are for", Tags: []string{"checkout"}, Security: orderToken,
		Description: "Only for a paid order of a sale that asks for names (`facts.holder_names`), and as long as `holders_open` is true. " +
			"Repeating it changes nothing. The name on a ticket can be changed 50 times.",
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeInvalid, domain.CodeHoldersFixed, domain.CodeOverloaded, domain.CodeUnknown, codeMediaType}, s.changeHolders)
}
