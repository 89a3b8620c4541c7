package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"boxoffice/admission"
	"boxoffice/domain"
	"boxoffice/ratelimit"
	"boxoffice/tracing"
)

// Defaults of the Options.
const (
	EventConnectionsMax = 2000
	QueueConnectionsMax = 5000
	DefaultHoldTimeout  = 10 * time.Minute
	DefaultBuyerLimit   = 8
)

// Options are the parts of a Server. All fields without "optional" are needed.
type Options struct {
	Admission *admission.Admission // what checkouts, payments and questions about checkouts go through
	Desk      Desk
	Orders    Orders
	Books     Books
	Catalog   *admission.Catalog // the one that Admission has; shared with the pages
	Keys      *domain.Keyring
	Providers Providers
	Auditor   Auditor
	// Capacities change what a class has to sell while its sale runs.
	Capacities Capacities
	// PayPage is where the buyer pays for a held order. It may use the order's id, sale,
	// lines, amount and provider. It calls nobody: if the provider must be called, the
	// page is ours (openPayment) and has no session yet. A buyer who cannot pay has no
	// use for the hold, so an error fails the request.
	PayPage func(domain.Order, domain.Hold) (domain.PayPage, error)
	// PayWish adds what the provider is told when that page is opened.
	PayWish func(domain.Order, domain.Hold) domain.PayWish

	Rooms      Rooms      // optional: without it, sales with a waiting room are refused as unavailable
	HumanCheck HumanCheck // optional: without it, anybody may join
	// Entitlements is optional: without it, nobody can join a sale that asks for one.
	Entitlements     Entitlements
	Mails            Mails            // optional: without it, no mail is sent, and nobody can ask for one
	EventLog         EventLog         // optional: without it, nobody can read events here
	Eraser           Eraser           // optional: without it, nobody is erased here
	Exporter         Exporter         // optional: without it, nobody is exported here
	Acts             Acts             // optional: without it, nobody records what organisers do
	Figures          Figures          // optional: without it, nobody sees figures here
	Arrivals         Arrivals         // optional: without it, nobody sees forecasts here
	WebhookEndpoints WebhookEndpoints // optional: without it, no endpoint can be registered
	// HumanCheckExemptsLocal lets clients on this machine join without a human check: for
	// the local stack and its tests. A proxy on this machine counts as such a client,
	// unless it is in Rates.TrustedProxies.
	HumanCheckExemptsLocal bool

	AdminToken string // bearer tokens of the organiser's routes, as ParseAdmins reads them
	// SeparateAdmin keeps the organiser's routes and /metrics off Public. Without it,
	// /metrics wants the organiser's token too.
	SeparateAdmin bool

	Checks  []Check
	Metrics http.Handler          // what /metrics answers
	Meter   prometheus.Registerer // where this package registers its own metrics
	Log     *slog.Logger
	Pages   http.Handler // optional: answers GET outside of /v1
	Version string       // of the build, for the OpenAPI document
	// PublicURL is where browsers reach the pages, if that differs from the Host of
	// requests: scheme, host and port. Optional.
	PublicURL string
	// TicketsPDF draws the tickets of an order, in the best of a list of languages. Optional: without it, nobody gets a PDF here.
	TicketsPDF func(languages string, order *domain.SoldOrder, sale *domain.Sale) ([]byte, error)

	AdminURL string // with SeparateAdmin: where the organiser's routes are, for the OpenAPI document. Optional

	Tracer *tracing.Tracer // optional: nil means that no request is traced

	EventConnectionsMax int // optional
	QueueConnectionsMax int // optional

	Rates Rates // optional: how often a client may ask

	// LogSource is what the log has of a refused client's address. Optional: its network.
	LogSource LogSource
	// Profiles serves Go's profiles under /debug/pprof/ to who has the organiser's token. See profile.
	Profiles bool
}

// Server answers the contract.
type Server struct {
	Options
	interrupted                      func(saleID string) bool // whether checkouts of a sale are refused for the moment
	admins                           []knownAdmin
	hub                              *hub
	placeHub                         *placeHub
	logHub                           *logHub
	logStreams                       *bound // of the event log
	orderViews                       *orderViews
	checks                           *paymentChecks // of providers, for buyers who come back
	images                           *imageCache
	byAddress                        *ratelimit.Buckets[netip.Addr]
	byJoiner                         *ratelimit.Buckets[netip.Addr]
	byGuesser                        *ratelimit.Buckets[netip.Addr]
	addressAnnounced, joinsAnnounced announcement // of byAddress and byJoiner
	asks                             askLimiter
	boundOf                          func(route string) *bound
	bounds                           []*bound
	scrapes                          *bound             // of /metrics, see scrape
	profiles                         *bound             // of /debug/pprof/, see profile
	checking                         singleflight.Group // /readyz
	checkers                         atomic.Int32       // how many wait for it
	logged                           logBudget
	metrics                          metrics
	log                              *slog.Logger

	crossOrigin http.CrossOriginProtection
	openAPI     []byte
	document    *huma.OpenAPI
	public      *gin.Engine
	admin       *gin.Engine
	zipped      struct{ public, admin http.Handler } // the same, compressed where that pays
}

// New checks the options and builds the routes. The error names what is
// missing.
func New(o Options) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.EventConnectionsMax == 0 {
		o.EventConnectionsMax = EventConnectionsMax
	}
	if o.QueueConnectionsMax == 0 {
		o.QueueConnectionsMax = QueueConnectionsMax
	}
	s := &Server{
		Options:     o,
		interrupted: o.Admission.Interrupted,
		hub:         newHub(o.Catalog, o.Admission.Interrupted, o.Log, o.EventConnectionsMax),
		log:         o.Log,
	}
	if s.PublicURL != "" {
		if err := s.crossOrigin.AddTrustedOrigin(s.PublicURL); err != nil {
			return nil, fmt.Errorf("api: the public URL: %w", err)
		}
	}
	s.Checks = slices.Clone(s.Checks)
	for _, b := range o.Admission.AllBreakers() {
		s.Checks = append(s.Checks, checkOf(b))
	}
	s.placeHub = newPlaceHub(s.placeOf, o.Log, o.QueueConnectionsMax)
	if o.EventLog != nil {
		s.logHub = newLogHub(o.EventLog.EventHead, o.Log)
	}
	s.bound()
	admins, err := ParseAdmins(o.AdminToken)
	if err != nil {
		return nil, fmt.Errorf("api: BOXOFFICE_ADMIN_TOKEN: %w", err)
	}
	s.admins = knownAdmins(admins)
	if s.byAddress, err = ratelimit.New[netip.Addr](s.Rates.PerAddress, ratelimit.ClientsMax); err != nil {
		return nil, err
	}
	s.addressAnnounced, s.joinsAnnounced = announced("address", s.Rates.PerAddress), announced("joins", s.Rates.Joins)
	if s.byGuesser, err = ratelimit.New[netip.Addr](s.Rates.Guesses, ratelimit.ClientsMax); err != nil {
		return nil, err
	}
	if s.byJoiner, err = ratelimit.New[netip.Addr](s.Rates.Joins, ratelimit.ClientsMax); err != nil {
		return nil, err
	}
	if s.asks, err = newAskLimiter(); err != nil {
		return nil, err
	}
	if s.images, err = newImageCache(); err != nil {
		return nil, err
	}
	if s.orderViews, err = newOrderViews(); err != nil {
		return nil, err
	}
	if s.checks, err = newPaymentChecks(); err != nil {
		return nil, err
	}
	if s.metrics, err = newMetrics(o.Meter, s); err != nil {
		return nil, err
	}
	if err := s.route(); err != nil {
		return nil, err
	}
	if s.zipped.public, err = compressed(s.public); err != nil {
		return nil, err
	}
	s.zipped.admin = s.zipped.public
	if s.SeparateAdmin {
		if s.zipped.admin, err = compressed(s.admin); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (o *Options) validate() error {
	needed := map[string]any{
		"Admission": o.Admission, "Desk": o.Desk, "Orders": o.Orders, "Books": o.Books, "Catalog": o.Catalog, "Keys": o.Keys, "Providers": o.Providers,
		"Auditor": o.Auditor, "Capacities": o.Capacities, "PayPage": o.PayPage, "PayWish": o.PayWish, "Metrics": o.Metrics, "Meter": o.Meter, "Log": o.Log,
	}
	if err := domain.Needed("api", needed); err != nil {
		return err
	}
	switch {
	case o.EventConnectionsMax < 0 || o.QueueConnectionsMax < 0:
		return errors.New("api: a maximum in the options is negative")
	}
	if err := o.LogSource.validate(); err != nil {
		return err
	}
	if err := errors.Join(
		o.Rates.PerAddress.Validate("address"),
		o.Rates.Joins.Validate("address that joins queues"),
		o.Rates.Guesses.Validate("address that guesses codes"),
	); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// Public is what everybody may reach. It includes the organiser's routes, unless
// Options.SeparateAdmin.
func (s *Server) Public() http.Handler { return s.zipped.public }

// Admin is what the organiser reaches: the same handler as Public, unless
// Options.SeparateAdmin.
func (s *Server) Admin() http.Handler { return s.zipped.admin }

// Webhooks is what the provider reaches, plus probes of the process. It is for a listener
// whose connections no crowd can take. Public has them too.
func (s *Server) Webhooks() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		isTheirs := strings.HasPrefix(r.URL.Path, webhooksPath)
		switch r.URL.Path {
		case webhookRoute, healthRoute, readyRoute:
			isTheirs = true
		}
		if isTheirs {
			s.public.ServeHTTP(w, r)
			return
		}
		SetWriteDeadline(w)
		http.NotFound(w, r)
	})
}

// CloseStreams ends all event streams. Register it with http.Server.RegisterOnShutdown,
// because Shutdown would wait for them.
func (s *Server) CloseStreams() {
	s.hub.close()
	s.placeHub.close()
	if s.logHub != nil {
		s.logHub.close()
	}
}

// OpenAPI is the document of all routes, on whichever listener they are.
func (s *Server) OpenAPI() []byte { return slices.Clone(s.openAPI) }

// Routes that middleware treats differently.
const (
	checkoutsRoute = "/v1/sales/:sale/checkouts"
	eventsRoute    = "/v1/sales/:sale/events"
	eventLogRoute  = "/v1/events"
	salesRoute     = "/v1/sales"
	saleRoute      = "/v1/sales/:sale"
	imageRoute     = "/v1/sales/:sale/image"
	queueRoute     = "/v1/sales/:sale/queue"
	challengeRoute = "/v1/sales/:sale/queue/challenge"
	placeRoute     = "/v1/queue/:token"
	watchRoute     = "/v1/queue/:token/events"
	auditRoute     = "/v1/sales/:sale/audit"
	auditRestRoute = "/v1/audit"
	restoreRoute   = "/v1/sales/:sale/restore-orders"
	restoreRest    = "/v1/restore-orders"
	orderRoute     = "/v1/orders/:order"
	cancelRoute    = "/v1/orders/:order/cancel"
	ticketRoute    = "/v1/orders/:order/tickets/:n/qr"
	calendarRoute  = "/v1/orders/:order/calendar"
	pdfRoute       = "/v1/orders/:order/pdf"
	holdersRoute   = "/v1/orders/:order/holders"
	payRoute       = "/v1/orders/:order/pay"
	checkRoute     = "/v1/orders/:order/check-payment"
	webhooksPath   = "/v1/webhooks/"
	webhookRoute   = webhooksPath + "mockpay"
	webhooksRoute  = webhooksPath + ":provider"
	healthRoute    = "/healthz"
	readyRoute     = "/readyz"
	metricsRoute   = "/metrics"
	profilesRoute  = "/debug/pprof/*profile"
	openAPIRoute   = "/openapi.json"
	problemRoute   = "/problems/:code"
)

func (s *Server) route() error {
	s.document = s.newDocument()
	s.public = s.newEngine()
	s.admin = s.public
	if s.SeparateAdmin {
		s.admin = s.newEngine()
	}
	public := humagin.New(s.public, s.humaConfig())
	s.routePublic(public)
	s.routeQueue(public)
	s.routeAdmin(humagin.New(s.admin, s.humaConfig()))

	var err error
	if s.openAPI, err = json.Marshal(s.document); err != nil {
		return fmt.Errorf("api: OpenAPI document: %w", err)
	}
	for _, e := range slices.Compact([]*gin.Engine{s.public, s.admin}) {
		s.routePlain(e)
		if err := s.routeViewer(e); err != nil {
			return err
		}
	}
	s.admin.GET(metricsRoute, s.scrape)
	if s.Profiles {
		s.admin.GET(profilesRoute, s.profile)
	}
	for route := range openRoutes {
		s.public.OPTIONS(route, preflight)
	}
	for _, e := range slices.Compact([]*gin.Engine{s.public, s.admin}) {
		answerHead(e)
	}
	if s.Pages != nil {
		s.public.NoRoute(s.pageOrNotFound)
		s.admin.NoRoute(s.pageOrNotFound) // the organiser's page talks to the host that it came from
	}
	return nil
}

func (s *Server) newEngine() *gin.Engine {
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	_ = e.SetTrustedProxies(nil) // nil cannot fail to parse
	e.Use(s.identify, s.observe, s.recoverPanic, secure, openToAll, s.refuseSurplus, s.limitAddress, s.refuseCrossSite, s.readBody, s.inBounds, s.refuseAtOnce)
	e.NoRoute(s.notFound)
	e.NoMethod(func(c *gin.Context) {
		s.abort(c, &domain.Error{Code: codeMethodNotAllowed, Detail: "See the Allow header."})
	})
	return e
}

// answerHead makes every route that answers GET answer HEAD; net/http drops the body.
func answerHead(e *gin.Engine) {
	for _, route := range e.Routes() {
		if route.Method == http.MethodGet {
			e.HEAD(route.Path, route.HandlerFunc)
		}
	}
}

// refuseCrossSite keeps other sites' pages from acting through their visitors, at least
// from joining a queue, which takes no header that a page cannot send. The pages' own
// forms protect themselves.
func (s *Server) refuseCrossSite(c *gin.Context) {
	if c.FullPath() != "" && s.crossOrigin.Check(c.Request) != nil {
		s.abort(c, &domain.Error{Code: codeCrossSite})
		return
	}
	c.Next()
}

func (s *Server) notFound(c *gin.Context) {
	s.abort(c, &domain.Error{Code: domain.CodeNotFound, Detail: "There is nothing here. See /openapi.json."})
}

// pageOrNotFound gives people the pages, and programs a problem. Browsers without scripts
// send forms.
func (s *Server) pageOrNotFound(c *gin.Context) {
	isRead := c.Request.Method == http.MethodGet || c.Request.Method == http.MethodHead
	isForm := c.Request.Method == http.MethodPost && strings.EqualFold(c.ContentType(), "application/x-www-form-urlencoded")
	if !isRead && !isForm || strings.HasPrefix(c.Request.URL.Path, "/v1/") {
		s.notFound(c)
		return
	}
	c.Status(http.StatusOK) // gin has set 404 by now; the pages set their own
	s.Pages.ServeHTTP(c.Writer, c.Request)
	c.Writer.WriteHeaderNow()
}

// routePlain adds routes that are not part of the documented JSON contract.
func (s *Server) routePlain(e *gin.Engine) {
	e.GET(healthRoute, s.healthz)
	e.GET(readyRoute, s.readyz)
	e.GET(openAPIRoute, func(c *gin.Context) {
		c.Data(http.StatusOK, "application/openapi+json", s.openAPI)
	})
	e.GET(problemRoute, s.explainProblem)
	e.POST(PolicyReportsPath, s.takePolicyReports)
}

func (s *Server) healthz(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) }

// humaConfig has none of huma's own routes: its documentation page needs a CDN, and its
// schema links would add fields to our bodies.
func (s *Server) humaConfig() huma.Config {
	return huma.Config{
		OpenAPI: s.document,
		// huma looks up "json" for …+json, which includes problems.
		Formats:       map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat: "application/json",
	}
}

// operation registers a handler whose errors become problems. codes are this route's
// problems, in addition to those that every route has.
func operation[I, O any](s *Server, api huma.API, op huma.Operation, codes []domain.Code, handler func(context.Context, *I) (*O, error)) {
	s.documentOperation(&op, codes)
	op.MaxBodyBytes = max(op.MaxBodyBytes, BodyBytesMax+1) // the middleware's limit decides; huma's own is exclusive
	// The middleware has read the body. A deadline now would stop net/http from noticing
	// that the client leaves: this request and all later ones of the connection would be
	// canceled.
	op.BodyReadTimeout = -1
	schema := &bodySchema{registry: s.document.Components.Schemas}
	op.Metadata = map[string]any{bodySchemaKey: schema}
	query := &queryNames{}
	op.Middlewares = append(slices.Clone(op.Middlewares), s.refuseUnknownQuery(query))
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handler(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return out, nil
	})
	registered := registeredOperation(s.document, &op)
	schema.root, query.known = bodyOf(registered), queryOf(registered)
}

// requireAdmin lets only the organiser through.
func (s *Server) requireAdmin() func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		who := s.adminOf(ctx.Header("Authorization"))
		if who == "" {
			s.abort(humagin.Unwrap(ctx), &domain.Error{Code: domain.CodeUnauthorized, Detail: tokenWanted(ctx.Header("Authorization"))})
			return
		}
		s.recordAct(ctx, who, next)
	}
}
