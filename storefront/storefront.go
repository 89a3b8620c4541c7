// Package storefront has the buyers' pages: what is on sale, one sale with its live
// stock, and one order from its hold to its tickets. It also has a page for the
// organiser, to cancel an order or a whole sale and watch the money go back.
//
// The pages hold no state and decide nothing: their scripts use the public HTTP contract
// of package api, like any other client. Without JavaScript the pages do it for the
// visitor, through the same contract: forms to join a queue and to check out, and pages
// that reload themselves. There is no framework, nothing is loaded from elsewhere, and no
// page has an inline script, so the content security policy can be strict.
package storefront

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"boxoffice/domain"
)

// A Catalog says what is on sale and how much of it is left.
type Catalog interface {
	// Sale finds a sale on offer, or returns an *Error with CodeNotFound.
	Sale(ctx context.Context, id string) (*domain.Sale, error)
	// Sales lists the sales on offer.
	Sales(ctx context.Context) ([]*domain.Sale, error)
	// Stock reads the level of every class and of the perk.
	Stock(ctx context.Context, sale *domain.Sale) ([]domain.StockLevel, error)
}

// Options are what the pages need.
type Options struct {
	Catalog Catalog
	// Interrupted reports whether checkouts of a sale are refused right now, because something that
	// they need does not answer. Optional: without it, they never are.
	Interrupted func(saleID string) bool
	// API answers the public HTTP contract. The pages ask it on behalf of visitors
	// without JavaScript, and about places in a queue and the service itself.
	API http.Handler
	Log *slog.Logger
	// TemporalUIURL is the address of a Temporal Web UI. If it is set, an order's page
	// links to its workflow: for development, not for buyers.
	TemporalUIURL     string
	TemporalNamespace string
	// PublicURL is where browsers reach the pages, if that differs from the Host of
	// requests: scheme, host and port. Optional.
	PublicURL string
	// Mails: buyers get mail, and may ask for the links of their orders.
	Mails bool
}

//go:embed templates static
var files embed.FS

// pagePolicy allows our own files, our own API, and the QR codes, which scripts fetch
// with the order's token.
const pagePolicy = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; report-uri " + reportsPath + "; report-to policy"

// reportsPath is where browsers report what the policy forbade; see api.PolicyReportsPath.
const reportsPath = "/policy-reports"

// cardsStockTimeout limits how long the front page waits for the stock of all its sales
// together: it can be shown without.
const cardsStockTimeout = time.Second

// organiserPage is the only page that speaks English only, and what the names of its scripts begin with.
const organiserPage = "organiser"

type pages struct {
	Options
	fixedParts
	health health
}

// fixedParts are the same for all pages of a build.
type fixedParts struct {
	dictionary *dictionary
	templates  map[templateKey]*template.Template
	assets     *assets
}

type templateKey struct{ language, name string }

var readOnce = sync.OnceValues(readFixed)

func readFixed() (*fixedParts, error) {
	dictionary, err := readDictionary()
	if err != nil {
		return nil, err
	}
	assets, err := readAssets(dictionary)
	if err != nil {
		return nil, err
	}
	f := &fixedParts{dictionary, make(map[templateKey]*template.Template), assets}
	for _, words := range dictionary.all {
		funcs := words.funcs()
		funcs["asset"] = assets.path
		funcs["texts"] = words.scriptName
		for _, name := range []string{"sales", "sale", "queue", "basket", "order", "find", organiserPage, "error"} {
			t, err := template.New("layout.html").Funcs(funcs).
				ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/"+name+".html")
			if err != nil {
				return nil, fmt.Errorf("storefront: template %s: %w", name, err)
			}
			f.templates[templateKey{words.Tag, name}] = t
		}
	}
	return f, nil
}

// New makes the pages. Their handler answers GET and HEAD of /, /sales/…, /queue/…,
// /orders, /orders/…, /organiser/sales/…, /static/…, and the forms posted to
// /sales/{sale}/queue, /sales/{sale}/code, /sales/{sale}/checkouts, /queue/{token}/basket, /orders,
// /orders/{order}/cancel and /orders/{order}/holders. For everything else it has a page that says so.
func New(o Options) (http.Handler, error) {
	if o.Catalog == nil || o.API == nil || o.Log == nil {
		return nil, errors.New("storefront: options are missing Catalog, API or Log")
	}
	fixed, err := readOnce()
	if err != nil {
		return nil, err
	}
	p := &pages{Options: o, fixedParts: *fixed}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.sales)
	mux.HandleFunc("GET /sales/{sale}", p.sale)
	mux.HandleFunc("POST /sales/{sale}/queue", p.join)
	mux.HandleFunc("POST /sales/{sale}/checkouts", p.checkout)
	mux.HandleFunc("POST /sales/{sale}/code", p.code)
	mux.HandleFunc("GET /queue/{token}", p.queue)
	mux.HandleFunc("GET /queue/{token}/basket", p.prepare)
	mux.HandleFunc("POST /queue/{token}/basket", p.keepBasket)
	mux.HandleFunc("GET /orders", p.find)
	mux.HandleFunc("POST /orders", p.askForOrders)
	mux.HandleFunc("GET /orders/{order}", p.order)
	mux.HandleFunc("GET /orders/{order}/pay", p.pay)
	mux.HandleFunc("GET /orders/{order}/again", p.again)
	mux.HandleFunc("GET /held", p.held)
	mux.HandleFunc("GET /orders/{order}/event.ics", p.file(calendarFile))
	mux.HandleFunc("GET /orders/{order}/tickets.pdf", p.file(ticketsFile))
	mux.HandleFunc("POST /orders/{order}/cancel", p.cancelOrder)
	mux.HandleFunc("POST /orders/{order}/holders", p.nameHolders)
	mux.HandleFunc("GET /organiser/sales/{sale}", p.organiser)
	mux.HandleFunc("GET /organiser/sales/{sale}/queue", p.organiserQueue)
	mux.HandleFunc("GET /static/{file}", p.static)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { p.notFound(w, r) })
	return p.protect(mux)
}

// page is what every template gets.
type page struct {
	Title       string
	Script      string // the page's own file under /static, if it has one
	RefreshSecs int    // when a browser without JavaScript reads the page again; 0: never
	Reload      string // a link that stops that; with Still, one that lets it go on. Empty: it does not
	Still       bool   // the visitor stopped it
	Holding     []holding
	Trouble     bool // the service reports that a part of it is down
	Interrupted bool // the page itself says that checkouts do not go through, which matters more
	Mails       bool // links of orders are mailed
	Social      *social
	Data        any

	Public     bool           // nothing in it is of one visitor: caches may keep it for a moment
	Query      string         // of links, if the URL of the page names the language
	Languages  []languageLink // the same page in each
	Alternates []languageLink // the same, for search engines
}

type salesData struct {
	Cards []saleCard
	Query string // as in page
}

type saleCard struct {
	*domain.Sale
	FromMinor int64 // the cheapest class that has a price; 0: none has
	Free      bool  // a class is
	Note      string
	SoldOut   bool
}

func (p *pages) sales(w http.ResponseWriter, r *http.Request) {
	sales, err := p.Catalog.Sales(r.Context())
	if err != nil {
		p.unavailable(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), cardsStockTimeout)
	defer cancel()
	in := wordsOf(r)
	data := salesData{Cards: make([]saleCard, 0, len(sales)), Query: p.query(r)}
	for _, sale := range sales {
		data.Cards = append(data.Cards, p.card(ctx, in, sale, time.Now()))
	}
	p.render(w, r, http.StatusOK, "sales", page{Title: in.t("Tickets"), Public: p.isPublic(r), Data: data})
}

// card sums up a sale in a word. Without an answer of the ledger it says nothing rather
// than something wrong.
func (p *pages) card(ctx context.Context, in *words, sale *domain.Sale, now time.Time) saleCard {
	c := saleCard{Sale: sale}
	public := sale.Public()
	for _, class := range public.Classes {
		switch {
		case class.PriceMinor == 0:
			c.Free = true
		case c.FromMinor == 0 || class.PriceMinor < c.FromMinor:
			c.FromMinor = class.PriceMinor
		}
	}
	if sale.Canceled() {
		c.SoldOut, c.Note = true, in.t("Canceled by the organiser")
		return c
	}
	if sale.WhyClosed(now) == domain.CodeSaleClosed {
		c.SoldOut, c.Note = true, in.t("Closed")
		return c
	}
	if !sale.HasOpened(now) {
		c.Note = in.t("Opens %s", in.shortTime(sale.OpensAt))
		return c
	}
	levels, err := p.Catalog.Stock(ctx, sale)
	if err != nil {
		return c
	}
	var available, held int64
	for _, class := range classRows(in, public, levels, now) {
		if class.Shut() {
			continue
		}
		available += max(class.Available, 0)
		held += class.Held
	}
	switch {
	case len(public.Classes) == 0:
		c.Note = in.t("With a code")
	case available > 0:
		c.Note = in.t("%d tickets left", available)
	case held > 0:
		c.SoldOut, c.Note = true, in.t("All on hold, some may come back")
	default:
		c.SoldOut, c.Note = true, in.t("Sold out")
	}
	return c
}

type classRow struct {
	domain.Class
	Held, Sold, Available int64
	Known                 bool // the ledger answered

	Why     domain.Code // its own window is not open; empty: it is
	Opening string      // when it opens, if that is later
	Until   string      // when it closes, while it is open
}

// Shut reports whether the class's own window is not open.
func (c classRow) Shut() bool { return c.Why != "" }

// Out reports whether no ticket of a class is to be had right now.
func (c classRow) Out() bool { return c.Shut() || c.Known && c.Available <= 0 }

// NoneLeft reports whether nothing is available right now in a sale that is open.
func (d saleData) NoneLeft() bool {
	return d.Open && len(d.Classes) > 0 && !slices.ContainsFunc(d.Classes, func(c classRow) bool { return !c.Out() })
}

// SomeShut reports whether a class's own window is not open.
func (d saleData) SomeShut() bool { return slices.ContainsFunc(d.Classes, classRow.Shut) }

// AllHeld is NoneLeft if something may come back.
func (d saleData) AllHeld() bool {
	return d.NoneLeft() && !d.SomeShut() && slices.ContainsFunc(d.Classes, func(c classRow) bool { return c.Held > 0 })
}

type saleData struct {
	*domain.Sale
	Open       bool
	OpensAt    string // RFC 3339, empty when open from the start
	OpensText  string // the same for people, empty once open
	ClosesText string // when it closes, for people; empty: it does not, or has
	Closed     bool   // it has closed
	NowMillis  int64  // Unix time: the pages' clocks follow it, not the visitor's
	Classes    []classRow
	PerkRow    *classRow
	Room       *room       // if the sale has a waiting room and the API answers
	KeptPlace  string      // the token of this browser's place in the queue; empty: none
	JoinNotice *notice     // the result of joining without JavaScript
	Asked      string      // what joining the queue needs, as the name of a field; empty: nothing
	Shown      string      // the code or invitation that was sent without JavaScript
	Preparing  bool        // the form only prepares what will be sent when the turn comes
	Prepared   bool        // the form is filled in with what was kept
	Rejoin     bool        // offers another place in the queue
	Held       []orderView // what this browser, without JavaScript, already has on hold
	Form       formData
	public     bool // as in page

	// TakesCodes: the sale has classes that only a code shows. CodeNotice says what became of
	// the code in Form.
	TakesCodes bool
	CodeNotice *notice

	// Interrupted says that checkouts do not go through. It takes no button away: the
	// first checkout that does go through shows the service that it is over.
	Interrupted bool
}

func (p *pages) sale(w http.ResponseWriter, r *http.Request) {
	sale, err := p.Catalog.Sale(r.Context(), r.PathValue("sale"))
	if err != nil {
		p.noSale(w, r, err)
		return
	}
	data := p.saleData(r, sale)
	if data.public = p.isPublic(r); data.public {
		data.Form.Key = "" // a key is for one buyer: see checkout, which asks for the form once more
	}
	data.Held = p.heldOrders(w, r, sale)
	if sale.WaitingRoom && !sale.Canceled() {
		data.KeptPlace = p.keptPlace(w, r, sale.ID)
	}
	p.renderSale(w, r, http.StatusOK, data)
}

func (p *pages) noSale(w http.ResponseWriter, r *http.Request, err error) {
	if domain.CodeOf(err) == domain.CodeNotFound {
		p.notFound(w, r)
		return
	}
	p.unavailable(w, r, err)
}

func (p *pages) renderSale(w http.ResponseWriter, r *http.Request, status int, data saleData) {
	view := page{Title: data.Name, Script: "sale.js", Interrupted: data.Interrupted, Social: p.socialOf(wordsOf(r), &data), Public: data.public, Data: data}
	if p.PublicURL != "" {
		view.Alternates = p.alternates("/sales/" + data.ID)
	}
	if status == http.StatusOK {
		view.RefreshSecs = data.refreshSecs()
	}
	if data.WaitingRoom && !data.Canceled() {
		data.Room = p.room(r, data.ID)
		view.Data = data
	}
	p.render(w, r, status, "sale", view)
}

// RoomSoldOut: nobody will be let in any more.
func (d saleData) RoomSoldOut() bool { return d.Room != nil && d.Room.Status == placeSoldOut }

// askedOf says what joining the queue needs, as the name of a field; empty: nothing.
func (w *words) askedOf(rule *domain.EntitlementRule) string {
	switch {
	case rule.PresaleCodes && rule.InvitationKey != nil:
		return w.t("Your presale code or invitation")
	case rule.PresaleCodes:
		return w.t("Your presale code")
	case rule.InvitationKey != nil:
		return w.t("Your invitation")
	default:
		return ""
	}
}

// refreshSecs makes a page without JavaScript show the opening by itself, but not before
// a buyer could have filled in anything: before the opening there is nothing to fill in.
func (d *saleData) refreshSecs() int {
	left := time.Until(d.Sale.OpensAt)
	if d.Open || d.Closed || d.Canceled() || left <= 0 || d.Form.Code != "" {
		return 0
	}
	return int(min(max(left, refreshMin), refreshMax)/time.Second) + 1
}

func (p *pages) saleData(r *http.Request, sale *domain.Sale) saleData {
	// Without the stock the page still works: its script asks again.
	levels, _ := p.Catalog.Stock(r.Context(), sale)
	in, now := wordsOf(r), time.Now()
	data := saleData{
		Sale: sale, Open: sale.WhyClosed(now) == "", Closed: sale.WhyClosed(now) == domain.CodeSaleClosed, NowMillis: now.UnixMilli(),
		Classes: classRows(in, sale.Public(), levels, now), Asked: in.askedOf(&sale.Entitlement), Form: formData{Key: newKey()}, TakesCodes: sale.HasHidden(),
	}
	data.Interrupted = data.Open && p.Interrupted != nil && p.Interrupted(sale.ID)
	if !sale.OpensAt.IsZero() {
		data.OpensAt = sale.OpensAt.UTC().Format(time.RFC3339)
	}
	if !sale.HasOpened(now) {
		data.OpensText = in.longTime(sale.OpensAt)
	}
	if !data.Closed && !sale.ClosesAt.IsZero() {
		data.ClosesText = in.shortTime(sale.ClosesAt)
	}
	if sale.Perk != nil {
		row := rowOf(domain.Class{Name: sale.Perk.Name, Capacity: sale.Perk.Capacity, Ledger: sale.Perk.Ledger}, levels)
		data.PerkRow = &row
	}
	return data
}

func classRows(in *words, sale *domain.Sale, levels []domain.StockLevel, now time.Time) []classRow {
	rows := make([]classRow, 0, len(sale.Classes))
	for _, class := range sale.Classes {
		row := rowOf(class, levels)
		row.Why = class.WhyClosed(now)
		switch {
		case row.Why == domain.CodeClassNotOpen:
			row.Opening = in.shortTime(class.OpensAt)
		case row.Why == "" && !class.ClosesAt.IsZero():
			row.Until = in.shortTime(class.ClosesAt)
		}
		rows = append(rows, row)
	}
	return rows
}

func rowOf(class domain.Class, levels []domain.StockLevel) classRow {
	for _, l := range levels {
		if l.Ledger == class.Ledger {
			return classRow{Class: class, Held: l.Held, Sold: l.Sold, Available: l.Available, Known: true}
		}
	}
	return classRow{Class: class}
}

// organiser is the page on which an organiser changes a sale, steers its queue and cancels it.
// The page itself knows nothing of the sale: its script asks for the organiser's token, keeps
// it while the tab is open, and reads the sale with it.
func (p *pages) organiser(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("sale")
	if !domain.ValidSaleID(id) {
		p.notFound(w, r)
		return
	}
	p.render(w, r, http.StatusOK, organiserPage, page{Title: "Organiser", Script: "organiser.js", Data: organiserData{id}})
}

type organiserData struct{ Sale string }

// order is the same page for every order that could exist. Its script finds out with the
// token whether this one does; the token never reaches this handler. The exception is an
// order made by a form without JavaScript, whose token is in a cookie of this page.
func (p *pages) order(w http.ResponseWriter, r *http.Request) {
	id, err := domain.ParseOrderID(r.PathValue("order"))
	if err != nil {
		p.notFound(w, r)
		return
	}
	view := page{Title: wordsOf(r).t("Your order"), Script: "order.js"}
	data := orderData{Order: id.String(), NowMillis: time.Now().UnixMilli(), Workflow: p.workflowURL(id), View: p.readOrder(w, r, id)}
	if data.View != nil && readAgain(data.View.Status) {
		view.RefreshSecs = int(refreshMin / time.Second)
	}
	view.Data = data
	p.render(w, r, http.StatusOK, "order", view)
}

type orderData struct {
	Order, Workflow string
	NowMillis       int64      // as in saleData
	View            *orderView // without JavaScript, see readOrder
}

func (p *pages) workflowURL(id domain.OrderID) string {
	if p.TemporalUIURL == "" {
		return ""
	}
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s", strings.TrimSuffix(p.TemporalUIURL, "/"),
		url.PathEscape(p.TemporalNamespace), url.PathEscape("checkout/"+id.String()))
}

type errorData struct{ Heading, Text string }

func (p *pages) notFound(w http.ResponseWriter, r *http.Request) {
	in := wordsOf(r)
	p.render(w, r, http.StatusNotFound, "error", page{Title: in.t("Not found"), Data: errorData{
		in.t("There is nothing here"), in.t("Perhaps the address was copied without its end, or the sale is over."),
	}})
}

func (p *pages) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	p.Log.ErrorContext(r.Context(), "storefront: cannot show a page", "err", err)
	w.Header().Set("Retry-After", "5")
	in := wordsOf(r)
	p.render(w, r, http.StatusServiceUnavailable, "error", page{Title: in.t("One moment"), Data: errorData{
		in.t("We cannot answer right now"), in.t("Nothing is lost: tickets that you hold stay yours. Please reload this page in a moment."),
	}})
}

// chooseReload lets a visitor stop a page that reads itself again: whoever reads slowly, or has it read out, would never come to its end.
func (d *page) chooseReload(r *http.Request, language string) {
	const off = "reload=off"
	if d.Still = r.URL.Query().Get("reload") == "off"; d.Still {
		d.RefreshSecs, d.Reload = 0, r.URL.EscapedPath()+language
		return
	}
	d.Reload = r.URL.EscapedPath() + "?" + off
	if language != "" {
		d.Reload = r.URL.EscapedPath() + language + "&" + off
	}
}

// render writes the page only once all of it could be rendered.
func (p *pages) render(w http.ResponseWriter, r *http.Request, status int, name string, data page) {
	in := wordsOf(r)
	if name == organiserPage { // it speaks English only
		in = p.dictionary.all[0]
	} else {
		data.Languages, data.Query = languageLinks(r, in), p.query(r)
	}
	data.Trouble, data.Mails = p.troubled(r), p.Mails
	if name != organiserPage {
		data.Holding = p.holdings(w, r, r.PathValue("order"))
	}
	if data.RefreshSecs > 0 {
		data.chooseReload(r, p.query(r))
	}
	data.Public = data.Public && status == http.StatusOK
	var b bytes.Buffer
	if err := p.templates[templateKey{in.Tag, name}].Execute(&b, data); err != nil {
		p.Log.ErrorContext(r.Context(), "storefront: cannot render a page", "page", name, "err", err)
		http.Error(w, "This page cannot be shown right now.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Language", in.Tag)
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Reporting-Endpoints", `policy="`+reportsPath+`"`)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers would hide the Origin of our own forms
	if data.Public {
		h.Set("Cache-Control", publicCache)
	} else {
		h.Set("Cache-Control", "no-store")
		h.Add("Vary", "Accept-Language, Cookie")
	}
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the reader may be gone
}

// fives puts a space after every five letters of a code, for people who must read it out.
// order.js does the same.
func fives(code string) string {
	var b strings.Builder
	for i, letter := range code {
		if i > 0 && i%5 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(letter)
	}
	return b.String()
}
