package api

import (
	"context"

	"boxoffice/domain"
)

type pdfInput struct {
	Order          string `path:"order" doc:"The order's id: 32 lower-case hexadecimal digits"`
	Authorization  string `header:"Authorization" doc:"Bearer, and the order's token"`
	AcceptLanguage string `header:"Accept-Language" doc:"The languages that the buyer reads, best first"`
}

type pdfOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// languagesMax bounds what is read of an Accept-Language.
const languagesMax = 200

// ticketsPDF is the tickets of an order on paper. Tickets that are void say so: somebody may have printed them before.
func (s *Server) ticketsPDF(ctx context.Context, in *pdfInput) (*pdfOutput, error) {
	id, err := s.authorize(in.Order, in.Authorization)
	if err != nil {
		return nil, err
	}
	if s.TicketsPDF == nil {
		return nil, domain.NotFound("PDF on this node")
	}
	order, err := s.soldOrder(ctx, id)
	switch {
	case isNotFound(err):
		return nil, domain.NotFound("ticket")
	case err != nil:
		return nil, err
	}
	sale, err := s.Catalog.Sale(ctx, order.SaleID)
	if err != nil {
		return nil, err
	}
	if len(in.AcceptLanguage) > languagesMax {
		in.AcceptLanguage = ""
	}
	file, err := s.TicketsPDF(in.AcceptLanguage, &order, sale)
	if err != nil {
		return nil, err
	}
	return &pdfOutput{"application/pdf", `attachment; filename="tickets.pdf"`, file}, nil
}
