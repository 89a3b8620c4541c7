package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
)

// An Eraser removes what is kept of a buyer. CodeNotSettled: an order is still open, or its
// money is owed, and nothing was erased.
type Eraser interface {
	Erase(ctx context.Context, r domain.ErasureRequest) (domain.Erasure, error)
}

const erasureRoute = "/v1/erasures"

type erasureInput struct{ Body ErasureBody }

// ErasureBody says whose data is erased.
type ErasureBody struct {
	Email  string           `json:"email,omitempty" maxLength:"254" doc:"The buyer's address, in any spelling of the same mailbox"`
	Orders []domain.OrderID `json:"orders,omitempty" maxItems:"1000" doc:"Or these orders alone: what an earlier answer listed, after a backup was restored"`
}

type erasureOutput struct{ Body ErasureView }

// ErasureView is the same however often the same is asked for.
type ErasureView struct {
	Orders []domain.OrderID `json:"orders" doc:"Sold orders that have no data of the buyer any more. Keep the lists of this answer until your last backup from before it is gone"`
	Unsold []domain.OrderID `json:"unsold" doc:"Checkouts that ended without a sale"`
}

func (s *Server) erase(ctx context.Context, in *erasureInput) (*erasureOutput, error) {
	request := domain.ErasureRequest{Orders: in.Body.Orders}
	switch {
	case s.Eraser == nil:
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This node erases nobody."}
	case (in.Body.Email == "") == (len(in.Body.Orders) == 0):
		return nil, domain.Invalid("email", "or orders must be given, and not both")
	case len(in.Body.Orders) > domain.ErasureOrdersMax:
		return nil, domain.Invalid("orders", fmt.Sprintf("must be at most %d", domain.ErasureOrdersMax))
	case in.Body.Email != "":
		var err error
		if request.Email, err = domain.NormalizeEmail(in.Body.Email); err != nil {
			return nil, domain.Invalid("email", "must be an e-mail address such as a@example.com")
		}
	}
	done, err := s.Eraser.Erase(ctx, request)
	if err != nil {
		return nil, err
	}
	return &erasureOutput{ErasureView{Orders: orNone(done.Orders), Unsold: orNone(done.Unsold)}}, nil
}

func orNone(orders []domain.OrderID) []domain.OrderID {
	return append([]domain.OrderID{}, orders...)
}

// routeErasure registers how the organiser erases a buyer.
func (s *Server) routeErasure(api huma.API, admin func(huma.Operation) huma.Operation) {
	operation(s, api, admin(huma.Operation{
		OperationID: "erase-buyer", Method: http.MethodPost, Path: erasureRoute,
		Summary: "Erase what is kept of a buyer",
		Description: "Address and metadata go from all orders of the address, from events, mails and Temporal. Books, counts and tickets stay. " +
			"Repeating it changes nothing and gives the same answer. It may take up to two minutes.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotSettled, domain.CodeNotFound, domain.CodeOverloaded, domain.CodeUnknown}, s.erase)
}
