package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"

	"boxoffice/domain"
)

// Acts is the record of what organisers did. orders.Store is one; see there.
type Acts interface {
	// BeginAct stores an act before it is done, and returns its id.
	BeginAct(ctx context.Context, act domain.Act) (id int64, err error)
	// EndAct stores an act's Path and Status, by its ID.
	EndAct(ctx context.Context, act domain.Act) error
	// Acts lists acts, newest first.
	Acts(ctx context.Context, filter domain.ActFilter) ([]domain.Act, error)
}

const (
	actsRoute = "/v1/acts"
	// actPathMax bounds what is kept of a path. Those of real sales and orders are far shorter.
	actPathMax = 300
	// actEndTimeout is for the outcome, whether or not the client still waits.
	actEndTimeout = 5 * time.Second
)

// readsBuyers are the routes that change nothing, but show what is known of buyers.
var readsBuyers = map[string]bool{"list-orders": true, "find-orders": true, "list-mails-set-aside": true}

// isAct reports whether a request of the organiser belongs into the record.
func isAct(op *huma.Operation) bool {
	return op.Method != http.MethodGet || readsBuyers[op.OperationID]
}

// recordAct keeps what an organiser does: a row before it is done, and its status afterwards. What
// cannot be recorded is not done.
func (s *Server) recordAct(ctx huma.Context, who string, next func(huma.Context)) {
	if s.Acts == nil || !isAct(ctx.Operation()) {
		next(ctx)
		return
	}
	g := humagin.Unwrap(ctx)
	path := g.Request.URL.EscapedPath()
	act := domain.Act{
		Who: who, Act: ctx.Operation().OperationID, Path: path[:min(len(path), actPathMax)],
		From: s.sourceOf(ctx.Context()), Request: requestID(ctx.Context()),
	}
	var err error
	if act.ID, err = s.Acts.BeginAct(ctx.Context(), act); err != nil {
		s.abort(g, err)
		return
	}
	next(huma.WithValue(ctx, actKey, &act))
	act.Status = g.Writer.Status()
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx.Context()), actEndTimeout)
	defer cancel()
	if err := s.Acts.EndAct(after, act); err != nil {
		s.log.WarnContext(after, "the record of an organiser's act lacks its outcome", "act", act.ID, "request", requestID(after), "error", err)
	}
}

// actOn names what an act made: its path did not know it yet.
func actOn(ctx context.Context, path string) {
	if act, ok := ctx.Value(actKey).(*domain.Act); ok {
		act.Path = path
	}
}

type actsInput struct {
	Sale   string `query:"sale" maxLength:"64" doc:"Only what was done to this sale and its orders"`
	Before string `query:"before" maxLength:"20" doc:"next of the previous page"`
	Limit  int    `query:"limit" default:"100" minimum:"1" maximum:"500"`
}

type actsOutput struct{ Body ActsView }

// ActsView is a page of what organisers and operators did, newest first.
type ActsView struct {
	Acts []ActView `json:"acts"`
	Next string    `json:"next,omitempty" doc:"Pass it as before; absent on the last page"`
}

// ActView is one thing that somebody did.
type ActView struct {
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who" doc:"The name of the token, see BOXOFFICE_ADMIN_TOKEN; operator:… for a command on a server"`
	Act     string    `json:"act" doc:"The operation's id in the OpenAPI document, or a command"`
	Path    string    `json:"path,omitempty" doc:"What it was done to"`
	From    string    `json:"from,omitempty" doc:"The network it came from, as BOXOFFICE_LOG_SOURCE says"`
	Request string    `json:"request,omitempty" doc:"The X-Request-Id"`
	Status  int       `json:"status,omitempty" doc:"How it was answered; absent: it was not, and may have been done or not"`
}

func (s *Server) listActs(ctx context.Context, in *actsInput) (*actsOutput, error) {
	filter := domain.ActFilter{SaleID: in.Sale, Limit: in.Limit}
	switch {
	case s.Acts == nil:
		return nil, &domain.Error{Code: domain.CodeNotFound, Detail: "This node keeps no record of acts."}
	case in.Sale != "" && !domain.ValidSaleID(in.Sale):
		return nil, domain.Invalid("sale", "must be the id of a sale")
	case in.Before != "":
		var err error
		if filter.Before, err = strconv.ParseInt(in.Before, 10, 64); err != nil || filter.Before < 1 {
			return nil, domain.Invalid("before", "must be the next of the previous page")
		}
	}
	acts, err := s.Acts.Acts(ctx, filter)
	if err != nil {
		return nil, err
	}
	out := &actsOutput{ActsView{Acts: make([]ActView, 0, len(acts))}}
	for _, a := range acts {
		out.Body.Acts = append(out.Body.Acts, ActView{
			ID: strconv.FormatInt(a.ID, 10), At: a.At, Who: a.Who, Act: a.Act, Path: a.Path, From: a.From, Request: a.Request, Status: a.Status,
		})
	}
	if len(acts) == in.Limit {
		out.Body.Next = out.Body.Acts[len(acts)-1].ID
	}
	return out, nil
}

// routeActs registers how the organiser reads what was done.
func (s *Server) routeActs(api huma.API, admin func(huma.Operation) huma.Operation) {
	operation(s, api, admin(huma.Operation{
		OperationID: "list-acts", Method: http.MethodGet, Path: actsRoute,
		Summary:     "List what organisers and operators did",
		Description: "Newest first, paged: every change, and every look at buyers' data. A row is written before the act; an act that cannot be recorded is not done.",
	}), []domain.Code{domain.CodeUnauthorized, domain.CodeInvalid, domain.CodeNotFound, domain.CodeOverloaded}, s.listActs)
}
