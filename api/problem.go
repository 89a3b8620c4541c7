package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"boxoffice/domain"
)

// Codes that only HTTP has. The others are in package domain.
const (
	codeMethodNotAllowed domain.Code = "method_not_allowed"
	codeMediaType        domain.Code = "unsupported_media_type"
	codeTimeout          domain.Code = "request_timeout" // the body came too slowly
	codeMalformed        domain.Code = "malformed"       // the body is not UTF-8
	codeCrossSite        domain.Code = "cross_site"      // a browser sent it from another site's page
	codeVersionMissing   domain.Code = "version_missing" // a change names no version
	codeEventsDropped    domain.Code = "events_dropped"  // events after the cursor were dropped
	codeEventsRestored   domain.Code = "events_restored" // the cursor is from a log that no longer exists
)

// kind is how HTTP shows a code. This is the only place that decides that.
type kind struct {
	status     int
	title      string
	level      slog.Level
	detail     string        // used if the error brings none
	means      string        // as docs/http.md has it, in Markdown
	todo       string        // likewise: what the client does about it
	retryAfter time.Duration // used if the error brings none
}

var kinds = map[domain.Code]kind{
	domain.CodeInvalid: {
		status: http.StatusUnprocessableEntity,
		title:  "The request is not valid",
		level:  slog.LevelDebug,
		means:  "the request breaks a rule, see `errors`",
		todo:   "correct what `errors` names",
	},
	domain.CodeTooLarge: {
		status: http.StatusRequestEntityTooLarge,
		title:  "The request is too large",
		level:  slog.LevelDebug,
		means:  "the body is above 64 KiB; 8 KiB for a checkout, 16 KiB for a webhook, 2 KiB for joining a queue, 8 MiB for an image",
		todo:   "send less",
	},
	domain.CodeKeyMissing: {
		status: http.StatusBadRequest,
		title:  "An Idempotency-Key is needed",
		level:  slog.LevelDebug,
		means:  "there is no usable `Idempotency-Key`",
		todo:   "send one",
	},
	domain.CodeKeyReused: {
		status: http.StatusUnprocessableEntity,
		title:  "The Idempotency-Key was used for another request",
		level:  slog.LevelInfo,
		means:  "the key was used before with another body",
		todo:   "take a new key for a new order",
	},
	domain.CodeInFlight: {
		status:     http.StatusConflict,
		title:      "The first request with this Idempotency-Key is not answered yet",
		level:      slog.LevelDebug,
		detail:     "Repeat the request with the same key.",
		retryAfter: time.Second,
		means:      "the key's first request is not answered yet",
		todo:       "repeat with the same key",
	},
	domain.CodeSoldOut: {
		status: http.StatusConflict,
		title:  "Sold out",
		level:  slog.LevelDebug,
		means:  "not enough tickets are left; `held` is what others hold and may come back",
		todo:   "if `held` > 0, try again after `Retry-After`, with a new key",
	},
	domain.CodeNotOpen: {
		status: http.StatusConflict,
		title:  "The sale has not opened yet",
		level:  slog.LevelDebug,
		means:  "the sale opens later",
		todo:   "try again after `Retry-After`",
	},
	domain.CodeSaleClosed: {
		status: http.StatusConflict,
		title:  "The sale is closed",
		level:  slog.LevelDebug,
		detail: "It takes no more orders. What is held already can still be paid.",
		means:  "the sale's `closes_at` has passed, or the organiser has ended it; what is held already can still be paid",
		todo:   "nothing, unless the organiser opens it again",
	},
	domain.CodeClassNotOpen: {
		status: http.StatusConflict,
		title:  "A class of the order is not on sale yet",
		level:  slog.LevelDebug,
		means:  "a class of the order is sold later than the sale opens; the detail names it",
		todo:   "try again after `Retry-After`, or take another class",
	},
	domain.CodeClassClosed: {
		status: http.StatusConflict,
		title:  "A class of the order is no longer on sale",
		level:  slog.LevelDebug,
		means:  "the `closes_at` of a class of the order has passed; the detail names it",
		todo:   "take another class",
	},
	domain.CodeMaxPerOrder: {
		status: http.StatusUnprocessableEntity,
		title:  "An order may not have that many tickets of a class",
		level:  slog.LevelDebug,
		means:  "the order has more tickets of a class than its `max_per_order`; the detail names the class",
		todo:   "ask for fewer, with the same key",
	},
	domain.CodeSaleCanceled: {
		status: http.StatusConflict,
		title:  "The organiser canceled the sale",
		level:  slog.LevelDebug,
		detail: "It no longer sells tickets. Everybody who paid gets their money back.",
		means:  "the organiser canceled the sale; for up to 5 s other nodes say `sold_out`",
		todo:   "nothing: everybody who paid gets their money back",
	},
	domain.CodeLimitReached: {
		status: http.StatusTooManyRequests,
		title:  "The limit per buyer is reached",
		level:  slog.LevelDebug,
		means:  "the buyer would have more than the sale allows, holds included; or, in a sale with `one_checkout_per_buyer`, has another checkout open. The browser that holds the order is told which, with `own_order` (`order`, `token`)",
		todo:   "pay or cancel that one, then try with a new key",
	},
	domain.CodeRateLimited: {
		status:     http.StatusTooManyRequests,
		title:      "Too many requests",
		level:      slog.LevelDebug,
		retryAfter: time.Second,
		means:      "this address or buyer asks too often ([overload](overload.md#rates)); nothing was done",
		todo:       "try again after `Retry-After`, with the same key",
	},
	domain.CodeQueueFull: {
		status:     http.StatusConflict,
		title:      "The queue is full",
		level:      slog.LevelInfo,
		detail:     "You hold no place. Try again later.",
		retryAfter: 10 * time.Second,
		means:      "the sale's waiting room is full; you hold no place",
		todo:       "come back after the opening, or after `Retry-After`",
	},
	domain.CodeQueueRequired: {
		status: http.StatusForbidden,
		title:  "This sale has a waiting room",
		level:  slog.LevelDebug,
		detail: "Join the sale's queue and send its token as Queue-Token once it is admitted.",
		means:  "the sale has a waiting room: the `Queue-Token` is missing, of another sale, or its turn has not come",
		todo:   "join the queue, or try again after `Retry-After`",
	},
	domain.CodeProofRequired: {
		status: http.StatusForbidden,
		title:  "A human check must be solved first",
		level:  slog.LevelDebug,
		detail: "Solve the challenge of the sale's queue and send it as proof. Each is good for one join.",
		means:  "a human check must be solved first, or its solution is refused",
		todo:   "get a challenge, and join with its solution",
	},
	domain.CodeNotEntitled: {
		status: http.StatusForbidden,
		title:  "A presale code or an invitation is needed",
		level:  slog.LevelDebug,
		detail: "See the sale's entitlement, and send one of its kinds as entitlement. You hold no place.",
		means:  "the sale asks for a presale code or an invitation: none was sent, or a kind that it does not ask for",
		todo:   "send one of the kinds in the sale's `entitlement`",
	},
	domain.CodeBadEntitlement: {
		status: http.StatusForbidden,
		title:  "The presale code or invitation is refused",
		level:  slog.LevelInfo,
		detail: "You hold no place.",
		means:  "the sale has no such presale code, or its organiser did not sign this invitation for it, or has revoked it; no place is held",
		todo:   "check the spelling",
	},
	domain.CodeClassCodeRefused: {
		status: http.StatusForbidden,
		title:  "The code is refused",
		level:  slog.LevelInfo,
		detail: "This sale has no such code for hidden classes. Nothing is held.",
		means:  "the sale has no such code for hidden classes, or it was revoked; nothing is held",
		todo:   "check the spelling; the key is not bound",
	},
	domain.CodeClassCodeSpent: {
		status: http.StatusConflict,
		title:  "The code was used already",
		level:  slog.LevelDebug,
		detail: "Other orders have all its uses. Nothing is held.",
		means:  "other orders hold or have all uses of the code; one that is held, or refunded, may come back",
		todo:   "after `Retry-After`, if there is one, try again with a new key",
	},
	domain.CodeEntitlementExpired: {
		status: http.StatusForbidden,
		title:  "The invitation has expired",
		level:  slog.LevelDebug,
		detail: "You hold no place.",
		means:  "the invitation's `exp` has passed; no place is held",
		todo:   "ask the organiser",
	},
	domain.CodeEntitlementSpent: {
		status: http.StatusConflict,
		title:  "The presale code or invitation was used before",
		level:  slog.LevelInfo,
		detail: "It gives no more places.",
		means:  "all places of the presale code or invitation are taken, with other keys",
		todo:   "whoever took a place has its token",
	},
	domain.CodeNotFound: {
		status: http.StatusNotFound,
		title:  "Not found",
		level:  slog.LevelDebug,
		means:  "there is no such sale, queue, order, ticket or route, or it is not yours",
		todo:   "check the id and the token",
	},
	domain.CodePaymentProcessing: {
		status: http.StatusConflict,
		title:  "A payment is being processed",
		level:  slog.LevelDebug,
		means:  "the order cannot be canceled: a payment for it, such as a bank debit, is under way and cannot be stopped",
		todo:   "wait: it ends by itself, paid or with the seats back on sale",
	},
	domain.CodeAlreadyPaid: {
		status: http.StatusConflict,
		title:  "The order is already paid",
		level:  slog.LevelDebug,
		means:  "it is too late to cancel",
		todo:   "ask the organiser for a refund",
	},
	domain.CodeNotPaid: {
		status: http.StatusConflict,
		title:  "The order is not paid",
		level:  slog.LevelDebug,
		means:  "there is nothing to refund",
		todo:   "nothing",
	},
	domain.CodeHoldersFixed: {
		status: http.StatusConflict,
		title:  "Who the tickets are for cannot be changed",
		level:  slog.LevelDebug,
		means:  "the sale does not ask who its tickets are for, or it is too late, or the tickets are void; the detail says which. Nothing was changed",
		todo:   "nothing",
	},
	domain.CodeNotSettled: {
		status:     http.StatusConflict,
		title:      "An order is not settled yet",
		level:      slog.LevelInfo,
		retryAfter: time.Minute,
		means:      "one of the buyer's orders is still open, or its money is on its way; the detail names it. Nothing was erased",
		todo:       "wait until it has ended, or cancel it; then repeat",
	},
	domain.CodeCapacityInUse: {
		status: http.StatusConflict,
		title:  "More is held and sold than that capacity",
		level:  slog.LevelInfo,
		means:  "a class cannot have the new capacity, because more of it was held and sold at that moment; nothing was changed, and the key keeps this answer",
		todo:   "take a higher number, or try again with a new key once holds have ended",
	},
	domain.CodeExists: {
		status: http.StatusConflict,
		title:  "A different sale of this id exists",
		level:  slog.LevelInfo,
		means:  "a sale of that id exists, and differs",
		todo:   "take another id, or [change the sale](#change-a-sale)",
	},
	domain.CodeChanged: {
		status: http.StatusPreconditionFailed,
		title:  "The sale is not as you read it",
		level:  slog.LevelInfo,
		means:  "somebody changed the sale since you read it: its `ETag` is not one of your `If-Match`. Nothing was changed",
		todo:   "read the sale again, and change that",
	},
	codeVersionMissing: {
		status: http.StatusPreconditionRequired,
		title:  "Say which version of the sale you change",
		level:  slog.LevelDebug,
		detail: "Send the sale's ETag as If-Match.",
		means:  "a change without `If-Match`",
		todo:   "send the `ETag` of the sale that you read as `If-Match`",
	},
	domain.CodeUnauthorized: {
		status: http.StatusUnauthorized,
		title:  "The admin token is missing or wrong",
		level:  slog.LevelWarn,
		means:  "the organiser's token is missing or wrong",
		todo:   "send `Authorization: Bearer` with it",
	},
	domain.CodeForged: {
		status: http.StatusUnauthorized,
		title:  "The webhook's signature or timestamp is refused",
		level:  slog.LevelWarn,
		means:  "a webhook's signature or timestamp is refused (5 minutes either way)",
		todo:   "check the secret, the clock, and that the body is sent as it was signed",
	},
	domain.CodeUnknown: {
		status:     http.StatusServiceUnavailable,
		title:      "The outcome is not known yet",
		level:      slog.LevelWarn,
		detail:     "It may or may not have taken effect. Repeat the request, a checkout with the same Idempotency-Key.",
		retryAfter: time.Second,
		means:      "it may or may not have taken effect",
		todo:       "**repeat, a checkout with the same key**",
	},
	domain.CodeOverloaded: {
		status:     http.StatusServiceUnavailable,
		title:      "Overloaded",
		level:      slog.LevelWarn,
		detail:     "Nothing was done. Try again in a moment.",
		retryAfter: 2 * time.Second,
		means:      "nothing was done: a bound of this node is reached (a checkout waited in line for up to a second), or a part of it is down",
		todo:       "try again after `Retry-After`",
	},
	domain.CodeClocksDiffer: {
		status:     http.StatusServiceUnavailable,
		title:      "The clocks of the box office differ",
		level:      slog.LevelWarn,
		detail:     "Nothing is sold for now. Nothing was done: repeat the request.",
		retryAfter: 10 * time.Second,
		means:      "nothing was done: the clocks of the box office differ by [more than it tolerates](operations.md#clocks), so nothing is sold",
		todo:       "try again after `Retry-After`, with the same key",
	},
	domain.CodeInternal: {
		status: http.StatusInternalServerError,
		title:  "Something went wrong on our side",
		level:  slog.LevelError,
		detail: "The request id names this failure in the logs.",
		means:  "an error on our side; the request id names it in the logs",
		todo:   "repeat; if it persists, give the operator the request id",
	},
	codeMethodNotAllowed: {status: http.StatusMethodNotAllowed, title: "The method is not allowed here", level: slog.LevelDebug,
		means: "the route does not know this method",
		todo:  "see the `Allow` header"},
	codeMediaType: {status: http.StatusUnsupportedMediaType, title: "The body must be application/json", level: slog.LevelDebug,
		means: "the body is not `application/json`, or has a `Content-Encoding`",
		todo:  "send `Content-Type: application/json`, not compressed"},
	codeMalformed: {status: http.StatusBadRequest, title: "The body is not UTF-8", level: slog.LevelDebug, detail: "JSON is sent as UTF-8.",
		means: "the body is not UTF-8",
		todo:  "send JSON as UTF-8"},
	codeCrossSite: {
		status: http.StatusForbidden,
		title:  "The request comes from another site's page",
		level:  slog.LevelInfo,
		detail: "Browsers may send this only from the box office's own pages. Programs leave Origin and Sec-Fetch-Site out.",
		means:  "a browser sent it from another site's page",
		todo:   "open the box office's own page",
	},
	codeEventsDropped: {
		status: http.StatusGone,
		title:  "Events after the cursor were dropped because of their age",
		level:  slog.LevelInfo,
		detail: "You have missed events. Go on from after, and read the orders for what you missed.",
		means:  "events after your cursor were dropped because of their age; `after` is where to go on",
		todo:   "go on from `after`, and read the orders for what you missed",
	},
	codeEventsRestored: {
		status: http.StatusGone,
		title:  "The cursor is from a log that no longer exists",
		level:  slog.LevelWarn,
		detail: "The database was restored to a time before your cursor, or on another server. Go on from after, and skip events whose ids you already have.",
		means:  "the log does not have the event at your cursor: the database was restored",
		todo:   "go on from `after`, where the log now begins; skip events whose ids you already have",
	},
	codeTimeout: {status: http.StatusRequestTimeout, title: "The request body came too slowly", level: slog.LevelDebug,
		means: "the body came too slowly: more than 20 s for the whole request; the connection ends",
		todo:  "repeat"},
}

// Problem is an RFC 9457 problem. Clients branch on Code; everything else is for people.
// No field ever repeats what the client sent.
type Problem struct {
	Type      string       `json:"type" doc:"/problems/{code}" example:"/problems/sold_out"`
	Title     string       `json:"title" doc:"The code in words"`
	Status    int          `json:"status" doc:"The HTTP status"`
	Code      domain.Code  `json:"code" doc:"Stable name of the error" example:"sold_out"`
	Detail    string       `json:"detail,omitempty" doc:"What happened this time, and what to do"`
	Errors    []FieldError `json:"errors,omitempty" doc:"code invalid: the offending fields"`
	Held      *int64       `json:"held,omitempty" doc:"code sold_out: tickets held by others, which may come back"`
	Own       *TokenView   `json:"own_order,omitempty" doc:"code limit_reached: the order that this browser holds, by its cookie"`
	After     string       `json:"after,omitempty" doc:"codes events_dropped and events_restored: the cursor from which to go on"`
	RequestID string       `json:"request_id,omitempty" doc:"Names this request in the logs"`

	retryAfter time.Duration
}

// FieldError names one wrong field of a request.
type FieldError struct {
	Field   string `json:"field" doc:"Path within the body, or the parameter's name" example:"items[0].quantity"`
	Message string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64(math.Ceil(p.retryAfter.Seconds())), 10))
	}
	switch p.Code {
	case domain.CodeUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="admin"`)
	case domain.CodeForged: // no registered scheme: the signature has its own headers
		h.Set("WWW-Authenticate", `Webhook-Signature realm="webhooks"`)
	default: // the others have no challenge
	}
	return h
}

const problemType = "application/problem+json"

func newProblem(code domain.Code, detail string) *Problem {
	k, ok := kinds[code]
	if !ok { // a code from a newer adapter: ours to fix, not the client's
		code, k = domain.CodeInternal, kinds[domain.CodeInternal]
	}
	if detail == "" {
		detail = k.detail
	}
	return &Problem{Type: "/problems/" + string(code), Title: k.title, Status: k.status, Code: code, Detail: detail, retryAfter: k.retryAfter}
}

// problemOf turns any error into what a stranger may see of it.
func problemOf(err error) *Problem {
	var p *Problem
	var definite *domain.Error
	switch {
	case errors.As(err, &p):
		return p
	case domain.IsUnknown(err): // even if its cause was definite
		return newProblem(domain.CodeUnknown, "")
	case errors.As(err, &definite):
		return definiteProblem(definite)
	case isOutOfTime(err):
		// What was asked may still happen: not a no.
		return newProblem(domain.CodeUnknown, "")
	default:
		return newProblem(domain.CodeOf(err), "")
	}
}

// isNotFound reports whether an adapter said that something does not exist.
func isNotFound(err error) bool { return err != nil && domain.CodeOf(err) == domain.CodeNotFound }

func isOutOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func definiteProblem(err *domain.Error) *Problem {
	detail := err.Detail
	if _, mapped := kinds[err.Code]; !mapped || err.Code == domain.CodeInternal {
		detail = "" // ours to fix: the detail would explain nothing to a client
	}
	p := newProblem(err.Code, detail)
	if err.RetryAfter > 0 {
		p.retryAfter = err.RetryAfter
	}
	if err.Field != "" {
		p.Errors = []FieldError{{Field: err.Field, Message: strings.TrimPrefix(err.Detail, err.Field+" ")}}
	}
	if err.Code == domain.CodeSoldOut {
		held := err.Held
		p.Held = &held
	}
	return p
}

// init replaces huma's error model. Its hooks are package variables, so this cannot
// depend on a Server; both models agree on every status below 500.
func init() {
	gin.SetMode(gin.ReleaseMode)
	huma.ValidateStrictCasing = true // as the published schema has it
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		return humaProblem(status, msg, errs, nil)
	}
	huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
		var schema *bodySchema
		if ctx != nil && ctx.Operation() != nil {
			schema, _ = ctx.Operation().Metadata[bodySchemaKey].(*bodySchema)
		}
		p := humaProblem(status, msg, errs, schema)
		if ctx != nil {
			p.RequestID = requestID(ctx.Context())
		}
		return p
	}
}

// humaProblem is what huma itself found wrong with a request, before any handler saw it.
func humaProblem(status int, msg string, errs []error, schema *bodySchema) *Problem {
	fields := fieldErrors(errs, schema)
	switch {
	case len(fields) == 1 && fields[0].Message == notUTF8:
		return newProblem(codeMalformed, "")
	case status == http.StatusRequestEntityTooLarge:
		return newProblem(domain.CodeTooLarge, "")
	case status == http.StatusUnsupportedMediaType:
		return newProblem(codeMediaType, "")
	case status == http.StatusRequestTimeout:
		return newProblem(codeTimeout, "")
	case status >= http.StatusInternalServerError:
		return newProblem(domain.CodeInternal, "")
	}
	detail := sentence(msg)
	if len(fields) > 0 {
		detail = fmt.Sprintf("%s: %s.", fields[0].Field, fields[0].Message)
	}
	p := newProblem(domain.CodeInvalid, detail)
	p.Errors = fields
	return p
}

// sentence completes huma's messages, which are fragments.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + strings.TrimSuffix(s[1:], ".") + "."
}

// fieldErrorsMax limits the answer to a body that is wrong everywhere.
const fieldErrorsMax = 8

// fieldErrors leaves out what the client sent, both values and names: they may be an
// e-mail address. It drops duplicates, and the order is always the same.
func fieldErrors(errs []error, schema *bodySchema) []FieldError {
	var fields []FieldError
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			continue
		}
		field := fieldError(d.ErrorDetail(), schema)
		if !slices.Contains(fields, field) {
			fields = append(fields, field)
		}
	}
	slices.SortFunc(fields, func(a, b FieldError) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})
	return fields[:min(len(fields), fieldErrorsMax)]
}

func fieldError(detail *huma.ErrorDetail, schema *bodySchema) FieldError {
	path, isBody := strings.CutPrefix(detail.Location, "body")
	if fault, ok := parseBodyFault(detail.Message); ok {
		return schema.fieldError(fault.at, fault.message)
	}
	if isBody {
		return schema.fieldError(strings.TrimPrefix(path, "."), detail.Message)
	}
	_, name, _ := strings.Cut(detail.Location, ".") // path.n, query.limit, header.Accept
	return FieldError{Field: name, Message: detail.Message}
}

// abort answers with a problem outside huma: in middleware, or for unknown routes.
func (s *Server) abort(c *gin.Context, err error) {
	p := s.problem(c.Request.Context(), err)
	for name, values := range p.GetHeaders() {
		c.Writer.Header()[name] = values
	}
	c.Abort()
	c.Render(p.Status, problemRender{p})
}

// problem makes the Problem for an error, logs what a stranger must not see, and counts
// it.
func (s *Server) problem(ctx context.Context, err error) *Problem {
	p := problemOf(err)
	p.RequestID = requestID(ctx)
	route := routeOf(ctx)
	s.metrics.problems.WithLabelValues(route, string(p.Code)).Inc()
	level := kinds[p.Code].level
	if errors.Is(ctx.Err(), context.Canceled) {
		level = slog.LevelDebug // the client left: nobody waits for this
	}
	s.logRefusal(ctx, level, p, err)
	return p
}

// logRefusal logs every failure of ours, and as many of the rest as the budget allows.
func (s *Server) logRefusal(ctx context.Context, level slog.Level, p *Problem, err error) {
	if !s.log.Enabled(ctx, level) {
		return
	}
	attributes := []any{"request", p.RequestID, "route", routeOf(ctx), "code", p.Code, "err", err}
	if from := s.sourceOf(ctx); from != "" {
		attributes = append(attributes, "from", from)
	}
	if level < slog.LevelError {
		leftOut, ok := s.logged.spend(p.Code, time.Now())
		if !ok {
			return
		}
		if leftOut > 0 {
			attributes = append(attributes, "left_out", leftOut)
		}
	}
	s.log.Log(ctx, level, "request refused", attributes...)
}
