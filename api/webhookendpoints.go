package api

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
)

// WebhookEndpoints manages the URLs that events are sent to. notify/webhooks.Endpoints is one; see
// there. Every method that changes something may fail with *domain.UnknownError.
type WebhookEndpoints interface {
	// Create registers an endpoint and returns its secret. CodeInvalid, CodeNotFound.
	Create(ctx context.Context, e domain.WebhookEndpoint) (stored domain.WebhookEndpoint, secret string, err error)
	List(ctx context.Context) ([]domain.WebhookEndpoint, error)
	// Endpoint finds one. CodeNotFound, like the methods below.
	Endpoint(ctx context.Context, id string) (domain.WebhookEndpoint, error)
	// Change changes one. CodeInvalid.
	Change(ctx context.Context, id string, c domain.WebhookChange) (domain.WebhookEndpoint, error)
	// Rotate returns a new secret; the old one signs too during the overlap. CodeInvalid.
	Rotate(ctx context.Context, id string, overlap time.Duration) (e domain.WebhookEndpoint, secret string, err error)
	Delete(ctx context.Context, id string) error
	// Redeliver sends events again; more says that there are more, after last. CodeInvalid.
	Redeliver(ctx context.Context, id string, r domain.WebhookRedelivery) (queued int, last time.Time, more bool, err error)
	// Deliveries lists deliveries, newest first, starting past after if it is set, of one state or of all.
	Deliveries(ctx context.Context, id string, state domain.WebhookState, after domain.EventID, limit int) ([]domain.WebhookDelivery, error)
}

// CreateWebhookEndpointBody registers an endpoint.
type CreateWebhookEndpointBody struct {
	URL         string             `json:"url" maxLength:"2000" doc:"Where to send events: an https URL of a public address. It may contain a key, because only the organiser sees it"`
	Description string             `json:"description,omitempty" maxLength:"200" doc:"For people"`
	Sale        string             `json:"sale,omitempty" maxLength:"64" doc:"Only events of this sale and its orders; absent: of all sales"`
	Types       []domain.EventType `json:"types,omitempty" maxItems:"50" nullable:"false" doc:"Only these event types; absent or empty: all, including types of later releases"`
}

// ChangeWebhookEndpointBody changes one.
type ChangeWebhookEndpointBody struct {
	URL         *string            `json:"url,omitempty" maxLength:"2000" doc:"A new URL. Pending events are sent there"`
	Description *string            `json:"description,omitempty" maxLength:"200"`
	Types       []domain.EventType `json:"types,omitempty" maxItems:"50" nullable:"false" doc:"Only these types from now on; empty: all"`
	Enabled     *bool              `json:"enabled,omitempty" doc:"false: nothing is sent, and pending events are given up. true: events from now on are sent; use redeliver for those that it missed"`
}

// RotateSecretBody says how long the old secret goes on signing.
type RotateSecretBody struct {
	OverlapSeconds *int64 `json:"overlap_seconds,omitempty" minimum:"0" maximum:"604800" doc:"How long both secrets sign; absent: a day. Use 0 if the secret has leaked"`
}

// RedeliverBody says what to send again: one of these.
type RedeliverBody struct {
	Event string    `json:"event,omitempty" maxLength:"36" doc:"This event"`
	Since time.Time `json:"since,omitzero" doc:"All events since then that the endpoint wants, including those that it accepted"`
}

// WebhookEndpointView shows an endpoint to the organiser.
type WebhookEndpointView struct {
	ID                       string             `json:"id"`
	URL                      string             `json:"url"`
	Description              string             `json:"description"`
	Sale                     string             `json:"sale,omitempty" doc:"Absent: all sales"`
	Types                    []domain.EventType `json:"types" nullable:"false" doc:"Empty: all"`
	CreatedAt                time.Time          `json:"created_at"`
	Enabled                  bool               `json:"enabled"`
	DisabledAt               time.Time          `json:"disabled_at,omitzero"`
	DisabledReason           string             `json:"disabled_reason,omitempty"`
	Pending                  int64              `json:"pending" doc:"Events that it has not accepted yet, counted up to 100,000"`
	Failures                 int                `json:"failures" doc:"Failed attempts in a row"`
	FailingSince             time.Time          `json:"failing_since,omitzero"`
	PausedUntil              time.Time          `json:"paused_until,omitzero" doc:"Nothing is sent until then, because too many attempts failed in a row or the endpoint asked for it"`
	PreviousSecretSignsUntil time.Time          `json:"previous_secret_signs_until,omitzero"`
}

// NewWebhookSecretView is an endpoint with its new secret.
type NewWebhookSecretView struct {
	WebhookEndpointView
	Secret string `json:"secret" doc:"whsec_ and base64. This is the only time that you see it"`
}

// WebhookEndpointsView lists endpoints.
type WebhookEndpointsView struct {
	Endpoints []WebhookEndpointView `json:"endpoints" nullable:"false"`
}

// RedeliveryView says what was queued.
type RedeliveryView struct {
	Queued int       `json:"queued"`
	More   bool      `json:"more" doc:"There are more, or may be: repeat with this answer's since"`
	Since  time.Time `json:"since,omitzero" doc:"Where to go on; up to 10 s before the last of them, so some are sent once more"`
}

// WebhookDeliveriesView is a page of deliveries, newest event first.
type WebhookDeliveriesView struct {
	Deliveries []WebhookDeliveryView `json:"deliveries" nullable:"false"`
	Next       string                `json:"next,omitempty" doc:"Pass it as after; absent on the last page"`
}

// WebhookDeliveryView is one event for one endpoint.
type WebhookDeliveryView struct {
	Event      domain.EventID       `json:"event"`
	Type       domain.EventType     `json:"type"`
	Subject    string               `json:"subject" doc:"The order or the sale that it is about"`
	State      domain.WebhookState  `json:"state" enum:"pending,delivered,given_up"`
	Attempts   int                  `json:"attempts" doc:"Since it was last queued"`
	DueAt      time.Time            `json:"due_at,omitzero" doc:"Time of the next attempt"`
	QueuedAt   time.Time            `json:"queued_at"`
	FinishedAt time.Time            `json:"finished_at,omitzero"`
	Log        []WebhookAttemptView `json:"log" nullable:"false" doc:"The last 20 attempts"`
}

// WebhookAttemptView is the result of sending an event once.
type WebhookAttemptView struct {
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Status int       `json:"status,omitempty" doc:"Absent: there was no answer"`
	Error  string    `json:"error,omitempty" doc:"Absent: the endpoint accepted it"`
	Answer string    `json:"answer,omitempty" doc:"The beginning of the answer that refused it"`
}

func viewWebhook(e *domain.WebhookEndpoint) WebhookEndpointView {
	v := WebhookEndpointView{
		ID: e.ID, URL: e.URL, Description: e.Description, Sale: e.SaleID, Types: append([]domain.EventType{}, e.Types...), CreatedAt: e.CreatedAt,
		Enabled: e.DisabledAt.IsZero(), DisabledAt: e.DisabledAt, DisabledReason: e.DisabledWhy, Pending: e.Pending,
		Failures: e.Failures, FailingSince: e.FailingSince, PausedUntil: e.PausedUntil,
	}
	if e.PreviousSigns {
		v.PreviousSecretSignsUntil = e.PreviousUntil
	}
	return v
}

type (
	endpointInput struct {
		Endpoint string `path:"endpoint" maxLength:"40" doc:"The endpoint's id"`
	}
	createWebhookInput struct{ Body CreateWebhookEndpointBody }
	changeWebhookInput struct {
		Endpoint string `path:"endpoint" maxLength:"40" doc:"The endpoint's id"`
		Body     ChangeWebhookEndpointBody
	}
	rotateInput struct {
		Endpoint string `path:"endpoint" maxLength:"40" doc:"The endpoint's id"`
		Body     *RotateSecretBody
	}
	redeliverInput struct {
		Endpoint string `path:"endpoint" maxLength:"40" doc:"The endpoint's id"`
		Body     RedeliverBody
	}
	deliveriesInput struct {
		Endpoint string              `path:"endpoint" maxLength:"40" doc:"The endpoint's id"`
		State    domain.WebhookState `query:"state" enum:"pending,delivered,given_up" doc:"Only deliveries in this state"`
		After    string              `query:"after" maxLength:"36" doc:"next of the previous page"`
		Limit    int                 `query:"limit" default:"100" minimum:"1" maximum:"1000"`
	}
	endpointOutput   struct{ Body WebhookEndpointView }
	endpointsOutput  struct{ Body WebhookEndpointsView }
	secretOutput     struct{ Body NewWebhookSecretView }
	redeliveryOutput struct{ Body RedeliveryView }
	deliveriesOutput struct{ Body WebhookDeliveriesView }
)

func (s *Server) hasWebhooks() error {
	if s.WebhookEndpoints == nil {
		return &domain.Error{Code: domain.CodeOverloaded, Detail: "This node does not manage webhook endpoints."}
	}
	return nil
}

func (s *Server) createWebhook(ctx context.Context, in *createWebhookInput) (*secretOutput, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	b := &in.Body
	e, secret, err := s.WebhookEndpoints.Create(ctx, domain.WebhookEndpoint{URL: b.URL, Description: b.Description, SaleID: b.Sale, Types: b.Types})
	if err != nil {
		return nil, err
	}
	return &secretOutput{NewWebhookSecretView{viewWebhook(&e), secret}}, nil
}

func (s *Server) listWebhooks(ctx context.Context, _ *struct{}) (*endpointsOutput, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	endpoints, err := s.WebhookEndpoints.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &endpointsOutput{WebhookEndpointsView{make([]WebhookEndpointView, 0, len(endpoints))}}
	for i := range endpoints {
		out.Body.Endpoints = append(out.Body.Endpoints, viewWebhook(&endpoints[i]))
	}
	return out, nil
}

func (s *Server) getWebhook(ctx context.Context, in *endpointInput) (*endpointOutput, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	e, err := s.WebhookEndpoints.Endpoint(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	return &endpointOutput{viewWebhook(&e)}, nil
}

func (s *Server) changeWebhook(ctx context.Context, in *changeWebhookInput) (*endpointOutput, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	change := domain.WebhookChange{URL: in.Body.URL, Description: in.Body.Description, Enabled: in.Body.Enabled}
	if in.Body.Types != nil {
		change.Types = &in.Body.Types
	}
	e, err := s.WebhookEndpoints.Change(ctx, in.Endpoint, change)
	if err != nil {
		return nil, err
	}
	return &endpointOutput{viewWebhook(&e)}, nil
}

func (s *Server) rotateWebhook(ctx context.Context, in *rotateInput) (*secretOutput, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	overlap := domain.WebhookOverlapDefault
	if in.Body != nil && in.Body.OverlapSeconds != nil {
		overlap = time.Duration(*in.Body.OverlapSeconds) * time.Second
	}
	e, secret, err := s.WebhookEndpoints.Rotate(ctx, in.Endpoint, overlap)
	if err != nil {
		return nil, err
	}
	return &secretOutput{NewWebhookSecretView{viewWebhook(&e), secret}}, nil
}

func (s *Server) deleteWebhook(ctx context.Context, in *endpointInput) (*struct{}, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	return nil, s.WebhookEndpoints.Delete(ctx, in.Endpoint)
}

func (s *Server) redeliver(ctx context.Context, in *redeliverInput) (*redeliveryOutput, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	again := domain.WebhookRedelivery{Since: in.Body.Since}
	if (in.Body.Event == "") == in.Body.Since.IsZero() {
		return nil, domain.Invalid("event", "or since: name one of them")
	}
	if in.Body.Event != "" {
		var err error
		if again.Event, err = domain.ParseEventID(in.Body.Event); err != nil {
			return nil, err
		}
	}
	queued, last, more, err := s.WebhookEndpoints.Redeliver(ctx, in.Endpoint, again)
	if err != nil {
		return nil, err
	}
	return &redeliveryOutput{RedeliveryView{Queued: queued, More: more, Since: last}}, nil
}

func (s *Server) webhookDeliveries(ctx context.Context, in *deliveriesInput) (*deliveriesOutput, error) {
	if err := s.hasWebhooks(); err != nil {
		return nil, err
	}
	var after domain.EventID
	if in.After != "" {
		var err error
		if after, err = domain.ParseEventID(in.After); err != nil {
			return nil, domain.Invalid("after", "must be next of the previous page")
		}
	}
	found, err := s.WebhookEndpoints.Deliveries(ctx, in.Endpoint, in.State, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &deliveriesOutput{WebhookDeliveriesView{Deliveries: make([]WebhookDeliveryView, 0, len(found))}}
	for i := range found {
		if i == in.Limit {
			out.Body.Next = found[i-1].Event.String()
			break
		}
		d := &found[i]
		view := WebhookDeliveryView{
			Event: d.Event, Type: d.Type, Subject: d.Subject, State: d.State, Attempts: d.Attempts, QueuedAt: d.QueuedAt, FinishedAt: d.FinishedAt,
			Log: make([]WebhookAttemptView, 0, len(d.Log)),
		}
		if d.State == domain.WebhookPending {
			view.DueAt = d.DueAt
		}
		for _, a := range d.Log {
			view.Log = append(view.Log, WebhookAttemptView(a))
		}
		out.Body.Deliveries = append(out.Body.Deliveries, view)
	}
	return out, nil
}

// routeWebhookEndpoints registers the organiser's routes for webhooks to other systems.
func (s *Server) routeWebhookEndpoints(api huma.API, admin func(huma.Operation) huma.Operation) {
	const endpoints, endpoint = "/v1/webhook-endpoints", "/v1/webhook-endpoints/{endpoint}"
	read := []domain.Code{domain.CodeUnauthorized, domain.CodeNotFound, domain.CodeOverloaded}
	write := append(read, domain.CodeInvalid, codeMediaType)
	operation(s, api, admin(huma.Operation{
		OperationID: "create-webhook-endpoint", Method: http.MethodPost, Path: endpoints, DefaultStatus: http.StatusCreated,
		Summary:     "Register an endpoint for events",
		Description: "The answer is the only place where you see the secret. Each request makes a new endpoint, so if you got no answer, list them and delete it.",
	}), write, s.createWebhook)
	operation(s, api, admin(huma.Operation{
		OperationID: "list-webhook-endpoints", Method: http.MethodGet, Path: endpoints,
		Summary: "List webhook endpoints", Description: "Oldest first; at most 100.",
	}), read, s.listWebhooks)
	operation(s, api, admin(huma.Operation{
		OperationID: "get-webhook-endpoint", Method: http.MethodGet, Path: endpoint, Summary: "A webhook endpoint and its state",
		Description: "Its secret is not shown again.",
	}), read, s.getWebhook)
	operation(s, api, admin(huma.Operation{
		OperationID: "change-webhook-endpoint", Method: http.MethodPatch, Path: endpoint, Summary: "Change a webhook endpoint, disable or enable it",
		Description: "Fields that you leave out stay as they are.",
	}), write, s.changeWebhook)
	operation(s, api, admin(huma.Operation{
		OperationID: "delete-webhook-endpoint", Method: http.MethodDelete, Path: endpoint, DefaultStatus: http.StatusNoContent,
		Summary: "Delete a webhook endpoint and its log", Description: "Pending events are no longer sent. The URL and the secrets are deleted at once.",
	}), read, s.deleteWebhook)
	operation(s, api, admin(huma.Operation{
		OperationID: "rotate-webhook-secret", Method: http.MethodPost, Path: endpoint + "/rotate-secret", Summary: "Rotate a webhook endpoint's secret",
		Description: "During the overlap both secrets sign, so that you can give the receiver the new one meanwhile. Only two sign at a time: a second rotation ends the first one's overlap.",
	}), write, s.rotateWebhook)
	operation(s, api, admin(huma.Operation{
		OperationID: "redeliver-webhooks", Method: http.MethodPost, Path: endpoint + "/redeliver", DefaultStatus: http.StatusAccepted,
		Summary:     "Send one event again, or all since a time",
		Description: "Including those that the endpoint accepted. They keep their `webhook-id`. At most 10,000 per request.",
	}), write, s.redeliver)
	operation(s, api, admin(huma.Operation{
		OperationID: "list-webhook-deliveries", Method: http.MethodGet, Path: endpoint + "/deliveries",
		Summary:     "List a webhook endpoint's deliveries and its answers",
		Description: "Newest event first, paged. Finished deliveries are kept for 30 days.",
	}), append(read, domain.CodeInvalid), s.webhookDeliveries)
	s.documentWebhooks()
}

// documentWebhooks describes what endpoints receive: an entry of the document's `webhooks`
// for each type of event.
func (s *Server) documentWebhooks() {
	if s.document.Webhooks != nil {
		return
	}
	s.document.Webhooks = make(map[string]*huma.PathItem)
	schemas := s.document.Components.Schemas
	text := func(doc string) *huma.Schema { return &huma.Schema{Type: huma.TypeString, Description: doc} }
	for _, t := range domain.EventTypes() {
		terms := t.Terms()
		envelope := &huma.Schema{
			Type: huma.TypeObject, Required: []string{"id", "type", "schema", "occurred_at", "data"}, AdditionalProperties: true,
			Properties: map[string]*huma.Schema{
				"id":          text("The event's id, also the header webhook-id: the same at every attempt"),
				"type":        {Type: huma.TypeString, Enum: []any{string(t)}},
				"schema":      {Type: huma.TypeInteger, Description: "The version of data", Minimum: new(1.0)},
				"occurred_at": {Type: huma.TypeString, Format: "date-time"},
				"sale":        text("Its sale, if it has one"),
				"order":       text("Its order, if it has one"),
				"data":        openly(schemas, schemas.Schema(reflect.TypeOf(terms.NewData()).Elem(), true, "")),
			},
		}
		header := func(name, doc string) *huma.Param {
			return &huma.Param{Name: name, In: "header", Required: true, Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
		}
		s.document.Webhooks[string(t)] = &huma.PathItem{Post: &huma.Operation{
			OperationID: "webhook-" + string(t), Summary: terms.Says, Tags: []string{"webhooks"},
			Description: "Sent at least once to the endpoints that the organiser registered. Events of one order or sale come in order.",
			Security:    []map[string][]string{},
			Parameters: []*huma.Param{
				header("webhook-id", "The event's id"), header("webhook-timestamp", "Seconds since 1970, of this attempt"),
				header("webhook-signature", "Standard Webhooks: v1, and base64 of an HMAC-SHA256; two, separated by a space, while a secret is rotated"),
			},
			RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: envelope}}},
			Responses: map[string]*huma.Response{
				"2XX": {Description: "The event is accepted. Any other answer, or none within 15 seconds, is a failure, and the event is retried"},
				"410": {Description: "The endpoint is gone: it is disabled"},
			},
		}}
	}
}

// openly lets a payload have members that a later release adds: a receiver that validates with the
// document must not refuse them.
func openly(schemas huma.Registry, s *huma.Schema) *huma.Schema {
	at := s
	if s.Ref != "" {
		at = schemas.SchemaFromRef(s.Ref)
	}
	if at.Type == huma.TypeObject && len(at.Properties) > 0 {
		at.AdditionalProperties = true
	}
	for _, p := range at.Properties {
		openly(schemas, p)
	}
	if at.Items != nil {
		openly(schemas, at.Items)
	}
	return s
}
