package api

import (
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"boxoffice/domain"
)

// A parameter that is ignored looks like one that worked: a list that should be filtered
// is the whole list. So a route refuses parameters that it does not know.

// queryNames are the parameters that an operation takes in its query.
type queryNames struct{ known []string }

// refuseUnknownQuery refuses parameters that the operation does not have, and any that
// comes twice or has no value. Webhooks are exempt: the provider uses the URL that it was
// given.
func (s *Server) refuseUnknownQuery(names *queryNames) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		target := ctx.URL()
		if target.RawQuery != "" && isRateLimited(ctx.Operation().Path) {
			if err := names.check(target.RawQuery); err != nil {
				s.abort(humagin.Unwrap(ctx), err)
				return
			}
		}
		next(ctx)
	}
}

// check reads a query. It does not repeat what the client wrote, which may be an address.
func (n *queryNames) check(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return domain.Invalid("query", "is not well formed")
	}
	for name, values := range query {
		switch {
		case !slices.Contains(n.known, name):
			return domain.Invalid("query", "has a parameter that this request does not know; "+n.knownText())
		case len(values) > 1:
			return domain.Invalid(name, "is given twice")
		case values[0] == "": // it would filter nothing
			return domain.Invalid(name, "has no value")
		}
	}
	return nil
}

func (n *queryNames) knownText() string {
	if len(n.known) == 0 {
		return "it has none"
	}
	return "it may have " + strings.Join(n.known, ", ")
}
