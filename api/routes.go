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

// routePublic registers what buyers and the payment provider use.
func (s *Server) routePublic(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "list-sales", Method: http.MethodGet, Path: "/v1/sales",
		Summary: "Sales on offer, with their stock", Tags: []string{"sales"},
		Description: "The newest first, by pages.",
	}, []domain.Code{domain.CodeOverloaded}, s.sales)

	operation(s, api, huma.Operation{
		OperationID: "get-sale", Method: http.MethodGet, Path: "/v1/sales/{sale}",
		Summary: "A sale and its stock", Tags: []string{"sales"},
		Description: "The stock is the ledger's word, at most 100 ms old.",
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.sale)

	operation(s, api, huma.Operation{
		OperationID: "watch-sale", Method: http.MethodGet, Path: "/v1/sales/{sale}/events",
		Summary: "The stock as it changes", Tags: []string{"sales"},
		Description: "Server-sent events. Event `stock` has the body of GET /v1/sales/{sale}.",
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream of events",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.events)

	operation(s, api, huma.Operation{
		OperationID: "create-checkout", Method: http.MethodPost, Path: "/v1/sales/{sale}/checkouts",
		Summary: "Hold tickets and learn where to pay", Tags: []string{"checkout"},
		Description: "The Idempotency-Key names the order: the same key and body get the same answer, however often they are sent. " +
			"Whoever has the key, the address and the items is answered as the buyer is: make keys at random, one an order.",
		DefaultStatus: http.StatusCreated, SkipValidateParams: true, // parseKey has a code of its own
	}, checkoutCodes, s.checkout)

	operation(s, api, huma.Operation{
		OperationID: "get-order", Method: http.MethodGet, Path: "/v1/orders/{order}",
		Summary: "Where an order stands; its tickets once paid", Tags: []string{"checkout"}, Security: orderToken,
		Description:        "A wrong token is a 404: nobody learns which orders exist.",
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeInFlight}, s.order)

	operation(s, api, huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: "/v1/orders/{order}/cancel",
		Summary: "Give the held tickets back", Tags: []string{"checkout"}, Security: orderToken,
		Description:        "Answers how the order ended. Repeating it changes nothing.",
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeAlreadyPaid}, s.cancel)

	operation(s, api, huma.Operation{
		OperationID: "exchange-way-back", Method: http.MethodPost, Path: "/v1/orders/{order}/token",
		Summary: "The order's token, for the key of the way back from paying", Tags: []string{"checkout"}, Security: orderToken,
		Description:        "The payment provider leads the buyer back to `/orders/{order}#back=<key>`. The key works until a day after the hold's deadline.",
		SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound}, s.wayBack)

	operation(s, api, huma.Operation{
		OperationID: "get-ticket-qr", Method: http.MethodGet, Path: "/v1/orders/{order}/tickets/{n}/qr",
		Summary: "A ticket's QR code", Tags: []string{"checkout"}, Security: orderToken,
		Description: "SVG, or a PNG with `Accept: image/png`. A refunded order has no tickets.",
		Responses: map[string]*huma.Response{"200": {
			Description: "An image",
			Content: map[string]*huma.MediaType{
				"image/svg+xml": {Schema: &huma.Schema{Type: huma.TypeString}},
				"image/png":     {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
			},
		}},
	}, []domain.Code{domain.CodeNotFound, domain.CodeInvalid, domain.CodeInFlight}, s.ticketQR)
	s.routePayments(api)
}

// routePayments registers what payment providers use, and the way of a buyer to one.
func (s *Server) routePayments(api huma.API) {
	operation(s, api, huma.Operation{
		OperationID: "mockpay-webhook", Method: http.MethodPost, Path: "/v1/webhooks/mockpay",
		Summary: "An event of the payment provider", Tags: []string{"payments"}, Security: webhookSignature,
		Description: "Signed as Standard Webhooks has it. 200: settled, now or before. 202: stored, it will be. 204: of another type, ignored.",
		Responses:   map[string]*huma.Response{"202": {Description: "Stored; it will take effect"}, "204": {Description: "An event of another type: ignored"}},
		// The signature covers the bytes: the adapter reads them, and a body that
		// is not signed is not worth parsing.
		SkipValidateBody: true,
	}, []domain.Code{domain.CodeForged, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.mockPayWebhook)
	s.document.Paths["/v1/webhooks/mockpay"].Post.RequestBody.Content["application/json"].Schema =
		s.document.Components.Schemas.Schema(reflect.TypeFor[WebhookBody](), true, "WebhookBody")

	operation(s, api, huma.Operation{
		OperationID: "provider-webhook", Method: http.MethodPost, Path: "/v1/webhooks/{provider}",
		Summary: "An event of any payment provider that is configured", Tags: []string{"payments"}, Security: webhookSignature,
		Description:      "Signed and written as that provider has it; answered as MockPay's.",
		Responses:        map[string]*huma.Response{"202": {Description: "Stored; it will take effect"}, "204": {Description: "An event of another type: ignored"}},
		SkipValidateBody: true,
	}, []domain.Code{domain.CodeForged, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.providerWebhook)

	operation(s, api, huma.Operation{
		OperationID: "open-payment", Method: http.MethodGet, Path: "/v1/orders/{order}/pay",
		Summary: "Leads a buyer to the payment provider", Tags: []string{"checkout"}, Security: payKey,
		Description:   "What `payment_url` is where the provider must be asked for a page first. Opening it again leads to the same page.",
		DefaultStatus: http.StatusSeeOther, SkipValidateParams: true,
	}, []domain.Code{domain.CodeNotFound, domain.CodeOverloaded}, s.openPayment)
}

// routeAdmin registers what the organiser uses.
func (s *Server) routeAdmin(api huma.API) {
	only := huma.Middlewares{s.requireAdmin()}
	admin := func(op huma.Operation) huma.Operation {
		op.Security, op.Middlewares, op.Tags = adminToken, only, []string{"organiser"}
		return op
	}
	operation(s, api, admin(huma.Operation{
		OperationID: "create-sale", Method: http.MethodPost, Path: "/v1/sales", DefaultStatus: http.StatusCreated,
		Summary: "Put a sale on offer", Description: "Repeating it changes nothing.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeExists, domain.CodeOverloaded, codeMediaType}, s.createSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "configure-queue", Method: http.MethodPatch, Path: "/v1/sales/{sale}/queue",
		Summary: "Pause a sale's queue, or bound how fast its door opens", Description: "What is left out stays as it is.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeMediaType}, s.configure)

	s.routeEntitlements(api, admin)

	operation(s, api, admin(huma.Operation{
		OperationID: "settle-draw",
		Method:      http.MethodPost,
		Path:        "/v1/sales/{sale}/queue/draw",
		Summary:     "Give the draw of a sale's queue what it waits for",
		Description: "The number that a witness committed to, a round of the beacon that no node can reach, or the choice to do without: " +
			"all of it is seen by everybody.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded, codeMediaType}, s.settle)

	operation(s, api, admin(huma.Operation{
		OperationID: "list-orders", Method: http.MethodGet, Path: "/v1/sales/{sale}/orders",
		Summary: "A sale's paid orders", Description: "In the order of their ids, which is that of their time, by pages. " +
			"Checkouts that were not paid are not among them.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound}, s.ordersOfSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "find-orders", Method: http.MethodGet, Path: "/v1/orders",
		Summary: "Paid orders of all sales", Description: "For who has a ticket's code or a buyer's address and does not know the sale. As list-orders.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid}, s.ordersOfAllSales)

	operation(s, api, admin(huma.Operation{
		OperationID: "refund-order", Method: http.MethodPost, Path: "/v1/orders/{order}/refund",
		Summary: "Give an order's money and seats back", Description: "200: refunded. 202: it will be.",
		Responses: map[string]*huma.Response{"202": {Description: "The refund is under way"}},
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeNotPaid}, s.refund)

	operation(s, api, admin(huma.Operation{
		OperationID: "cancel-order-of-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/orders/{order}/cancel",
		Summary: "Cancel an order: void its hold, or give its money back",
		Description: "Whatever state it is in; repeating it changes nothing. 200: where it stands, for good. " +
			"202: its money is on the way back.",
		Responses: map[string]*huma.Response{"202": {Description: "The refund is under way"}},
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeInFlight}, s.cancelOrder)

	operation(s, api, admin(huma.Operation{
		OperationID: "cancel-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/cancel",
		Summary: "Cancel a whole sale: void its holds, give all money back",
		Description: "It cannot be undone. From the answer on no node sells any more; the rest goes on by itself, however long it takes: " +
			"see its progress at Location. Repeating it changes nothing.",
		DefaultStatus: http.StatusAccepted,
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.cancelSale)

	operation(s, api, admin(huma.Operation{
		OperationID: "get-sale-cancellation", Method: http.MethodGet, Path: "/v1/sales/{sale}/cancel",
		Summary: "How far the cancellation of a sale has come", Description: "404 where the sale is not canceled.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}, s.cancellation)

	operation(s, api, admin(huma.Operation{
		OperationID: "audit-sale", Method: http.MethodGet, Path: "/v1/sales/{sale}/audit",
		Summary: "Every invariant with its two sides", Description: "It compares ledger, database, Temporal and payment provider, and may take up to two minutes.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound}, s.audit)

	operation(s, api, admin(huma.Operation{
		OperationID: "audit-rest", Method: http.MethodGet, Path: "/v1/audit",
		Summary: "What belongs to no sale, with its two sides", Description: "Payments and workflows whose order no sale knows.",
	}), []domain.Code{domain.CodeUnauthorized}, s.auditRest)

	operation(s, api, admin(huma.Operation{
		OperationID: "restore-orders-of-sale", Method: http.MethodPost, Path: "/v1/sales/{sale}/restore-orders",
		Summary: "Put back the records of a sale that the audit finds lost (I7)",
		Description: "After the orders database was put back to an earlier moment. Without `apply` nothing is written. It may be repeated, " +
			"and must be while `not_reached_yet` is counted.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound}, s.restore)

	operation(s, api, admin(huma.Operation{
		OperationID: "restore-orders-rest", Method: http.MethodPost, Path: "/v1/restore-orders",
		Summary: "The same of what belongs to no sale", Description: "See restore-orders-of-sale.",
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
