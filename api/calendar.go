package api

import (
	"context"
	"time"

	"boxoffice/calendar"
	"boxoffice/domain"
)

type calendarOutput struct {
	ContentType string `header:"Content-Type"`
	Disposition string `header:"Content-Disposition"`
	Body        []byte
}

// calendarOfOrder is the event of a paid order, for the buyer's calendar.
func (s *Server) calendarOfOrder(ctx context.Context, in *orderInput) (*calendarOutput, error) {
	view, err := s.authorizedOrder(ctx, in.Order, in.Authorization)
	if err != nil {
		return nil, err
	}
	if len(view.Tickets) == 0 {
		return nil, domain.NotFound("ticket")
	}
	sale, err := s.Catalog.Sale(ctx, view.Sale)
	if err != nil {
		return nil, err
	}
	lines := make([]domain.Line, 0, len(view.Items))
	for _, item := range view.Items {
		lines = append(lines, domain.Line{Class: item.Class, Quantity: item.Quantity})
	}
	file, ok := calendar.Of(view.Order, lines, sale, time.Now()).Write()
	if !ok {
		return nil, domain.NotFound("time at which the sale's event begins")
	}
	return &calendarOutput{calendar.ContentType, `attachment; filename="` + calendar.FileName + `"`, file}, nil
}
