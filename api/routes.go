package api

import (
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"boxoffice/domain"
)

var (
	orderToken = []map[string][]string{{"order": {}}}
	adminToken = []map[string][]string{{"admin": {}}}

	payKey           = []map[string][]string{{"pay": {}}}
	webhookSignature = []map[string][]string{{"webhook": {}}}
)

// routePublic registers the routes for buyers and the payment provider.
func (s *Server) routePublic(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "list-sales", Method: http.MethodGet, Path: "/v1/sales",
		Summary: "List sales with their stock", Tags: []string{"sales"},
		Description: "Newest first, paged.",
	}, []domain.Code{domain.CodeOverloaded}, s.sales)

	operation(s, api, huma.Operation{
		OperationID: "get-sale", Method: http.MethodGet, Path: "/v1/sales/{sale}",
		Summary: "A sale and its stock", Tags: []string{"sales"},
		Description: "The stock comes from the ledger and is at most 100 ms old.",
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.sale)

	operation(s, api, huma.Operation{
		OperationID: "watch-sale", Method: http.MethodGet, Path: "/v1/sales/{sale}/events",
		Summary: "Watch the stock of a sale", Tags: []string{"sales"},
		Description: "Server-sent events. The event `stock` has the body of GET /v1/sales/{sale}.",
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream of events",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.events)

	operation(s, api, huma.Operation{
		OperationID: "create-checkout", Method: http.MethodPost, Path: "/v1/sales/{sale}/checkouts",
		Summary: "Hold tickets and get the pay link", Tags: []string{"checkout"},
		Description: "The Idempotency-Key names the order: the same key and body get the same answer, however often you send them. " +
			"Anybody who has the key, the address and the items gets the buyer's answer, so use a new random key for each order.",
		DefaultStatus: http.StatusCreated, SkipValidateParams: true, // parseKey has a code of its own
	}, checkoutCodes, s.checkout)

	operation(s, api, huma.Operation{
		OperationID: "get-order", Method: http.MethodGet, Path: "/v1/orders/{order}",
		Summary: "Read an order, and its tickets once it is paid", Tags: []string{"checkout"}, Security: orderToken,
		Description:        "A wrong token gets a 404, so nobody can find out which orders exist.",
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeInFlight}, s.order)

	operation(s, api, huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: "/v1/orders/{order}/cancel",
		Summary: "Cancel an order and give its held tickets back", Tags: []string{"checkout"}, Security: orderToken,
		Description:        "The answer says how the order ended. Repeating the request changes nothing.",
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeAlreadyPaid, domain.CodePaymentProcessing}, s.cancel)

	operation(s, api, huma.Operation{
		OperationID: "check-payment", Method: http.MethodPost, Path: "/v1/orders/{order}/check-payment",
		Summary: "Ask the payment provider what became of the payment", Tags: []string{"checkout"}, Security: orderToken,
		Description: "For a buyer who comes back from paying: the provider's webhook may be late. If the money was taken, the order is paid as if the webhook had come. " +
			"An order that is not held any more costs the provider nothing. A node asks about an order at most every second, and then ever more seldom.",
		Responses:          map[string]*huma.Response{"202": {Description: "The provider has not decided yet, or not answered: ask again after Retry-After, and offer no payment meanwhile"}},
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeInFlight}, s.checkPayment)

	operation(s, api, huma.Operation{
		OperationID: "exchange-way-back", Method: http.MethodPost, Path: "/v1/orders/{order}/token",
		Summary: "Exchange the key of the way back from paying for the order's token", Tags: []string{"checkout"}, Security: orderToken,
		Description:        "The payment provider sends the buyer back to `/orders/{order}#back=<key>`. The key works until a day after the hold's deadline.",
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound}, s.wayBack)

	operation(s, api, huma.Operation{
		OperationID: "get-ticket-qr", Method: http.MethodGet, Path: "/v1/orders/{order}/tickets/{n}/qr",
		Summary: "A ticket's QR code", Tags: []string{"checkout"}, Security: orderToken,
		Description: "An SVG, or a PNG with `Accept: image/png`. A refunded order has no tickets.",
		Responses: map[string]*huma.Response{"200": {
			Description: "An image",
			Content: map[string]*huma.MediaType{
				"image/svg+xml": {Schema: &huma.Schema{Type: huma.TypeString}},
				"image/png":     {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeInvalid, domain.CodeInFlight}, s.ticketQR)
	operation(s, api, huma.Operation{
		OperationID: "get-order-calendar", Method: http.MethodGet, Path: "/v1/orders/{order}/calendar",
		Summary: "A paid order's event as a calendar file (.ics)", Tags: []string{"checkout"}, Security: orderToken,
		Description:        "The same order is the same entry of a calendar for ever. 404 if the order has no valid tickets, or its sale does not say when it begins.",
		SkipValidateParams: true,
		Responses: map[string]*huma.Response{"200": {
			Description: "RFC 5545", Content: map[string]*huma.MediaType{"text/calendar": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeInFlight}, s.calendarOfOrder)
	operation(s, api, huma.Operation{
		OperationID: "get-tickets-pdf", Method: http.MethodGet, Path: "/v1/orders/{order}/pdf",
		Summary: "All tickets of an order as a PDF", Tags: []string{"checkout"}, Security: orderToken,
		Description: "Three tickets a page, with the codes that get-ticket-qr shows, in the best language of `Accept-Language` that the box office has. " +
			"The tickets of a refunded order, and of a canceled sale, say that they are void and have no code to scan. 404 if the order never had tickets.",
		SkipValidateParams: true,
		Responses: map[string]*huma.Response{"200": {
			Description: "A PDF", Content: map[string]*huma.MediaType{"application/pdf": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.ticketsPDF)
	s.routeHolders(api)
	s.routeImages(api)
	s.routeCodes(api)
	s.routeAsk(api)
	s.routePayments(api)
}

// routePayments registers the routes for payment providers, and a buyer's way to one.
func (s *Server) routePayments(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "mockpay-webhook", Method: http.MethodPost, Path: "/v1/webhooks/mockpay",
		Summary: "Deliver an event of MockPay", Tags: []string{"payments"}, Security: webhookSignature,
		Description: "Signed as Standard Webhooks specifies. 200: settled, now or earlier. 202: stored, it will take effect. 204: another type of event, ignored.",
		Responses:   map[string]*huma.Response{"202": {Description: "Stored; it will take effect"}, "204": {Description: "Another type of event, ignored"}},
		// The signature covers the bytes. The adapter reads them; an unsigned body is not
		// worth parsing.
		SkipValidateBody: true,
	}, []domain.Code{domain.CodeForged, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.mockPayWebhook)
	s.document.Paths["/v1/webhooks/mockpay"].Post.RequestBody.Content["application/json"].Schema =
		s.document.Components.Schemas.Schema(reflect.TypeFor[WebhookBody](), true, "WebhookBody")

	operation(s, api, huma.Operation{
		OperationID: "provider-webhook", Method: http.MethodPost, Path: "/v1/webhooks/{provider}",
		Summary: "Deliver an event of a configured payment provider", Tags: []string{"payments"}, Security: webhookSignature,
		Description:      "Signature and body as that provider specifies; answers as for MockPay.",
		Responses:        map[string]*huma.Response{"202": {Description: "Stored; it will take effect"}, "204": {Description: "Another type of event, ignored"}},
		SkipValidateBody: true,
	}, []domain.Code{domain.CodeForged, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.providerWebhook)

	operation(s, api, huma.Operation{
		OperationID: "open-payment", Method: http.MethodGet, Path: "/v1/orders/{order}/pay",
		Summary: "Send the buyer to the payment provider", Tags: []string{"checkout"}, Security: payKey,
		Description:   "`payment_url` points here if the provider has to be asked for its page first. Opening it again leads to the same page.",
		DefaultStatus: http.StatusSeeOther, SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.openPayment)
}

// routeAdmin registers the organiser's routes.
func (s *Server) routeAdmin(api huma.API) {
	only := huma.Middlewares{s.requireAdmin()}
	admin := func(op huma.Operation) huma.Operation {
		op.Security, op.Middlewares, op.Tags = adminToken, only, []string{"organiser"}
		return op
	}
	operation(s, api, admin(huma.Operation{
		OperationID: "create-sale", Method: http.MethodPost, Path: "/v1/sales", DefaultStatus: http.StatusCreated,
		Summary: "Create a sale", Description: "Repeating the same request changes nothing.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeExists, domain.CodeOverloaded, codeMediaType}, s.createSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "change-sale", Method: http.MethodPatch, Path: "/v1/sales/{sale}",
		Summary: "Change what a sale says of itself", Description: "Also while it sells. Members that you leave out stay as they are; `facts` are replaced as a whole. " +
			"`If-Match` has the `ETag` of the sale that you read. Repeating the request changes nothing.",
	}), []domain.Code{
		domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeChanged, codeVersionMissing, domain.CodeOverloaded, codeMediaType,
	}, s.changeSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "configure-queue", Method: http.MethodPatch, Path: "/v1/sales/{sale}/queue",
		Summary: "Pause a sale's queue, or limit how fast it lets people in", Description: "Fields that you leave out stay as they are.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeMediaType}, s.configure)

	operation(s, api, admin(huma.Operation{
		OperationID: "get-sale-definition", Method: http.MethodGet, Path: "/v1/sales/{sale}/definition",
		Summary: "A sale as its organiser sees it", Description: "With its hidden classes. The `ETag` is the one of the sale, for `If-Match`.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.definition)

	s.routeImagesAdmin(api, admin)
	s.routeCodesAdmin(api, admin)
	s.routeEntitlements(api, admin)
	s.routeMails(api, admin)
	s.routeErasure(api, admin)
	s.routeExport(api, admin)
	s.routeActs(api, admin)
	s.routeEventLog(api, admin)
	s.routeFigures(api, admin)
	s.routeForecast(api, admin)
	s.routeWebhookEndpoints(api, admin)

	operation(s, api, admin(huma.Operation{
		OperationID: "settle-draw",
		Method:      http.MethodPost,
		Path:        "/v1/sales/{sale}/queue/draw",
		Summary:     "Supply what the draw of a sale's queue waits for",
		Description: "The number that a witness committed to, a round of the beacon that no node can reach, or the decision to draw without either. " +
			"Everybody can see it.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeMediaType}, s.settle)

	operation(s, api, admin(huma.Operation{
		OperationID: "list-orders", Method: http.MethodGet, Path: "/v1/sales/{sale}/orders",
		Summary: "List a sale's paid orders", Description: "Sorted by id, which means by time; paged. Checkouts that were never paid are not included.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound}, s.ordersOfSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "find-orders", Method: http.MethodGet, Path: "/v1/orders",
		Summary: "Find paid orders in all sales", Description: "Use it if you have a ticket's code or a buyer's address and do not know the sale. Otherwise the same as list-orders.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid}, s.ordersOfAllSales)

	operation(s, api, admin(huma.Operation{
		OperationID: "refund-order", Method: http.MethodPost, Path: "/v1/orders/{order}/refund",
		Summary: "Refund an order and release its seats", Description: "200: refunded. 202: the refund is in progress.",
		Responses: map[string]*huma.Response{"202": {Description: "The refund is in progress"}},
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeNotPaid}, s.refund)

	operation(s, api, admin(huma.Operation{
		OperationID: "cancel-order-of-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/orders/{order}/cancel",
		Summary:     "Cancel an order: void its hold, or refund it",
		Description: "Works in every state of the order; repeating it changes nothing. 200: the order's final status. 202: the refund is in progress.",
		Responses:   map[string]*huma.Response{"202": {Description: "The refund is in progress"}},
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeInFlight, domain.CodePaymentProcessing}, s.cancelOrder)

	operation(s, api, admin(huma.Operation{
		OperationID: "change-capacity", Method: http.MethodPut, Path: "/v1/sales/{sale}/classes/{class}/capacity",
		Summary: "Raise or lower a class's capacity while the sale runs",
		Description: "Never below what is held and sold: the ledger decides, whatever happens at the same time. Repeat it with the same key " +
			"until it is answered: it is done once. Other nodes show the new number within 5 s; tickets that it adds are on sale within a second.",
	}), []domain.Code{
		domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeKeyMissing, domain.CodeKeyReused, domain.CodeInFlight,
		domain.CodeCapacityInUse, domain.CodeSaleCanceled, domain.CodeOverloaded, codeMediaType,
	}, s.changeCapacity)

	operation(s, api, admin(huma.Operation{
		OperationID: "end-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/end",
		Summary: "End a sale early: no new orders",
		Description: "What is held can still be paid, and nothing is refunded. Other nodes take new orders for up to 5 s. " +
			"reopen-sale takes it back. Repeating it changes nothing.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeSaleCanceled, domain.CodeOverloaded}, s.endSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "reopen-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/reopen",
		Summary: "Open a sale again that was ended early", Description: "Its window counts again. Repeating it changes nothing.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeSaleCanceled, domain.CodeOverloaded}, s.reopenSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "cancel-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/cancel",
		Summary: "Cancel a whole sale: void its holds, refund all orders",
		Description: "You cannot undo it. Once it is answered no node sells any more. Refunds continue by themselves, however long they take; " +
			"Location has their progress. Repeating it changes nothing.",
		DefaultStatus: http.StatusAccepted,
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.cancelSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "get-sale-cancellation", Method: http.MethodGet, Path: "/v1/sales/{sale}/cancel",
		Summary: "Progress of a sale's cancellation", Description: "404 if the sale is not canceled.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.cancellation)

	operation(s, api, admin(huma.Operation{
		OperationID: "audit-sale", Method: http.MethodGet, Path: "/v1/sales/{sale}/audit",
		Summary: "Audit a sale: every invariant with its two sides", Description: "Compares ledger, database, Temporal and payment provider. It may take up to two minutes.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound}, s.audit)

	operation(s, api, admin(huma.Operation{
		OperationID: "audit-rest", Method: http.MethodGet, Path: "/v1/audit",
		Summary: "Audit what belongs to no sale", Description: "Payments and workflows whose order no sale knows.",
	}), []domain.Code{domain.CodeUnauthorized}, s.auditRest)

	operation(s, api, admin(huma.Operation{
		OperationID: "restore-orders-of-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/restore-orders",
		Summary: "Restore the records of a sale that the audit finds lost (I7)",
		Description: "For use after you restored the orders database to an earlier moment. Without `apply` it writes nothing. " +
			"You may repeat it, and must while `not_reached_yet` is above zero.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound}, s.restore)

	operation(s, api, admin(huma.Operation{
		OperationID: "restore-orders-rest", Method: http.MethodPost, Path: "/v1/restore-orders",
		Summary: "Restore lost records that belong to no sale", Description: "Works like restore-orders-of-sale.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid}, s.restoreRest)
}

// readyz runs all checks at once and names those that fail.
func (s *Server) readyz(c *gin.Context) {
	failures := s.check(c.Request.Context())

	var failed, degraded []FieldError
	names := make([]string, 0, len(s.Checks))
	for i, check := range s.Checks {
		names = append(names, check.Name)
		switch {
		case failures[i] == nil:
		case check.Advisory:
			degraded = append(degraded, FieldError{Field: check.Name, Message: failures[i].Error()})
		default:
			failed = append(failed, FieldError{Field: check.Name, Message: failures[i].Error()})
		}
	}
	if len(failed) == 0 {
		ready := gin.H{"status": "ready", "checks": names}
		if len(degraded) > 0 {
			ready["degraded"] = degraded
		}
		c.JSON(http.StatusOK, ready)
		return
	}
	p := newProblem(domain.CodeOverloaded, fmt.Sprintf("Not ready: %s: %s.", failed[0].Field, failed[0].Message))
	p.Errors = failed
	s.abort(c, p)
}
