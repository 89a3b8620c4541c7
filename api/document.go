package api

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"boxoffice/domain"
)

// Document is the OpenAPI document of every route, without servers: what /openapi.json
// returns for a box office without a public URL and without a separate listener for the
// organiser.
func Document(version string) ([]byte, error) {
	s := &Server{Options: Options{Version: version}}
	if err := s.route(); err != nil {
		return nil, err
	}
	return s.openAPI, nil
}

// tags are the chapters of the document.
var tags = []*huma.Tag{
	{Name: "sales", Description: "What is on sale and how much is left. Public."},
	{Name: "checkout", Description: "Hold tickets, pay, get the tickets. You need the order's token to see an order."},
	{Name: "queue", Description: "Places in a sale's waiting room."},
	{Name: "payments", Description: "Signed reports of payment providers."},
	{Name: "webhooks", Description: "Events that are sent to endpoints that the organiser registered, signed as Standard Webhooks specifies."},
	{Name: "organiser", Description: "Sales, orders, refunds and the audit. You need the organiser's token."},
}

func (s *Server) newDocument() *huma.OpenAPI {
	server := &huma.Server{URL: "/", Description: "The server that this document comes from"}
	if s.PublicURL != "" {
		server = &huma.Server{URL: s.PublicURL, Description: "The box office"}
	}
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "Box office",
			Version: cmp.Or(s.Version, "devel"),
			Description: "Sells tickets that many people want at once.\n\n" +
				"Money is in minor units of the currency: 6500 is 65.00 EUR. Times are RFC 3339.\n\n" +
				"Errors are RFC 9457 problems. Branch on `code`, which never changes its meaning. `GET /problems/{code}` says what it means and what to do.",
		},
		Servers: []*huma.Server{server},
		Tags:    tags,
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"order": {Type: "http", Scheme: "bearer", Description: "The order's token, from the answer to its checkout"},
				"admin": {Type: "http", Scheme: "bearer", Description: "The organiser's token, `BOXOFFICE_ADMIN_TOKEN`"},
				"pay":   {Type: "apiKey", In: "query", Name: "key", Description: "The key in `payment_url`. It only allows to pay for that order"},
				"webhook": {Type: "apiKey", In: "header", Name: "Webhook-Signature",
					Description: "Standard Webhooks signature of `Webhook-Id`, `Webhook-Timestamp` and the body"},
			},
		},
	}
}

// schemaName distinguishes types of two packages with the same name.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	switch path.Base(t.PkgPath()) {
	case "audit":
		return "Audit" + name
	case "restore":
		return "Restore" + name
	default:
		return name
	}
}

// registeredOperation is an operation as the document has it.
func registeredOperation(doc *huma.OpenAPI, op *huma.Operation) *huma.Operation {
	item := doc.Paths[op.Path]
	for _, registered := range []*huma.Operation{item.Post, item.Patch, item.Put, item.Delete, item.Get} {
		if registered != nil && registered.OperationID == op.OperationID {
			return registered
		}
	}
	return op
}

// bodyOf returns the schema of an operation's body, nil if it has none.
func bodyOf(op *huma.Operation) *huma.Schema {
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return nil
	}
	return op.RequestBody.Content["application/json"].Schema
}

// queryOf returns the parameters that an operation takes in its query.
func queryOf(op *huma.Operation) (names []string) {
	for _, p := range op.Parameters {
		if p.In == "query" {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return names
}

// documentOperation says who may call an operation and where, and lists its problems by
// status: its own codes, and those that every route has. An operation without security is
// public.
func (s *Server) documentOperation(op *huma.Operation, codes []domain.Code) {
	if op.Security == nil {
		op.Security = []map[string][]string{}
	}
	if isOrganiser := len(op.Security) > 0 && op.Security[0]["admin"] != nil; isOrganiser && s.SeparateAdmin && s.AdminURL != "" {
		op.Servers = []*huma.Server{{URL: s.AdminURL, Description: "The organiser's listener"}}
	}
	codes = append(slices.Clone(codes), domain.CodeInvalid, domain.CodeUnknown, domain.CodeInternal)
	if op.Method != http.MethodGet {
		codes = append(codes, domain.CodeTooLarge, codeTimeout, codeMalformed, codeCrossSite)
	}
	if isRateLimited(op.Path) {
		codes = append(codes, domain.CodeRateLimited)
	}
	doc, listed := s.document, make(map[domain.Code]bool)
	schema := doc.Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	if op.Responses == nil {
		op.Responses = make(map[string]*huma.Response)
	}
	for _, code := range codes {
		if listed[code] {
			continue
		}
		listed[code] = true
		k := kinds[code]
		status := strconv.Itoa(k.status)
		response, ok := op.Responses[status]
		if !ok {
			response = &huma.Response{Content: map[string]*huma.MediaType{problemType: {Schema: schema}}}
			op.Responses[status] = response
		}
		if k.retryAfter > 0 || code == domain.CodeSoldOut || code == domain.CodeNotOpen {
			if response.Headers == nil {
				response.Headers = make(map[string]*huma.Param)
			}
			response.Headers["Retry-After"] = &huma.Param{Description: "Seconds", Schema: &huma.Schema{Type: huma.TypeInteger}}
		}
		if code == domain.CodeRateLimited {
			maps.Copy(response.Headers, map[string]*huma.Param{
				"RateLimit-Policy": {
					Description: "draft-ietf-httpapi-ratelimit-headers-10, on every answer if rates are limited",
					Schema:      &huma.Schema{Type: huma.TypeString},
					Example:     `"address";q=100;w=5`,
				},
				"RateLimit": {Description: "How many requests are left; see RateLimit-Policy", Schema: &huma.Schema{Type: huma.TypeString}, Example: `"address";r=0;t=1`},
			})
		}
		line := fmt.Sprintf("`%s`: %s.", code, k.title)
		response.Description = strings.TrimSpace(response.Description + " " + line)
	}
}
