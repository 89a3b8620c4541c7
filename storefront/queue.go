package storefront

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"boxoffice/domain"
)

// The states of a place in the queue, as the API has them.
const (
	placeDraw     = "draw" // before the opening
	placeWaiting  = "waiting"
	placeAdmitted = "admitted"
	placePaused   = "paused"
	placeSoldOut  = "sold_out" // unless an order is refunded
	placeClosed   = "closed"   // unless the organiser opens the sale again
	placeCanceled = "canceled"
)

// A place is what the API says about a place in a sale's queue.
type place struct {
	Token       string     `json:"token"` // only when it was just taken
	Sale        string     `json:"sale"`
	Status      string     `json:"status"`
	Position    int64      `json:"position"` // from 1; 0 before the draw
	Ahead       int64      `json:"ahead"`
	Waiting     int64      `json:"waiting"`
	WaitSeconds float64    `json:"wait_seconds"` // 0: not known
	Rate        float64    `json:"rate"`         // admissions a second
	OpensAt     *time.Time `json:"opens_at"`
	Draw        draw       `json:"draw"`

	Late          bool       `json:"late"`           // its turn has passed, it will be let in again
	AdmittedUntil *time.Time `json:"admitted_until"` // nil: as long as the token is valid

	retryAfter time.Duration // 0: no hint
}

// A draw is what makes the draw of places verifiable.
type draw struct {
	Commitment string `json:"commitment"`
	Size       *int64 `json:"size"` // nil before the draw
	Seed       string `json:"seed"` // empty before the draw

	Version int        `json:"version"`
	Source  string     `json:"source"` // beacon or witness; otherwise the seed alone decides
	State   string     `json:"state"`  // see drawClosed
	DueAt   *time.Time `json:"due_at"`
	Root    string     `json:"root"` // of the list; empty before it is closed
	Waived  bool       `json:"waived"`

	Sale  string `json:"-"` // where to find all of it; empty: nowhere
	Token string `json:"-"` // of the place, on its own page
}

// How far a draw has come, while the places are not drawn.
const (
	drawClosed  = "closed"
	drawDelayed = "delayed"
)

// A room is what the API tells everybody about a sale's queue.
type room struct {
	Status  string  `json:"status"`
	Waiting int64   `json:"waiting"`
	Joined  int64   `json:"joined"`
	Rate    float64 `json:"rate"`
	Paused  bool    `json:"paused"`
	Draw    draw    `json:"draw"`
}

// Limits of the reload interval of a queue page without JavaScript.
const (
	refreshMin = 5 * time.Second
	refreshMax = 2 * time.Minute
)

// over reports whether nothing can happen to a place any more. A sold-out sale may not
// stay so: a refund brings tickets back, and then the place counts again.
func (p *place) over() bool { return p.Status == placeCanceled }

// tokenPattern is what a place's token may look like. The API says whether it is one.
var tokenPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{16,200}$`)

type queueData struct {
	saleData
	Place       place
	Token       string
	Wait        string // for people, empty when not known
	Until       string // until when the checkout may begin, for people; empty: no limit
	UntilAt     string // RFC 3339
	RefreshSecs int    // without JavaScript; 0: nothing will change
}

// queue is the page of one place: its position, and the checkout once it is its turn. The
// address is the place, so people can keep it and open it elsewhere.
func (p *pages) queue(w http.ResponseWriter, r *http.Request) {
	token, sale, found, ok := p.findPlace(w, r)
	if !ok {
		return
	}
	if found.over() {
		forgetPlace(w, r, sale.ID)
	} else {
		keepPlace(w, r, sale, token) // however it was taken, and also if it was opened on another device
	}
	p.renderPlace(w, r, http.StatusOK, p.place(r, sale, found, token, found.retryAfter, p.heldOrders(w, r, sale)))
}

func (p *pages) place(r *http.Request, sale *domain.Sale, found place, token string, retryAfter time.Duration, held []orderView) queueData {
	found.Draw.Sale, found.Draw.Token = sale.ID, token
	data := queueData{saleData: p.saleData(r, sale), Place: found, Token: token, Wait: wordsOf(r).spellWait(found.WaitSeconds)}
	data.Form.QueueToken = token
	data.Prepared = data.Form.recall(r, basketCookie, sale)
	data.Held = held
	if until := found.AdmittedUntil; until != nil {
		data.Until, data.UntilAt = wordsOf(r).spellWait(max(time.Until(*until).Seconds(), 1)), until.UTC().Format(time.RFC3339)
	}
	switch found.Status {
	case placeAdmitted, placeSoldOut, placeClosed, placeCanceled:
		return data
	case placeDraw, placePaused:
	default:
		data.Place.Status = placeWaiting // also for a state that only a newer API knows
	}
	data.RefreshSecs = int(min(max(retryAfter, refreshMin), refreshMax) / time.Second)
	return data
}

func (p *pages) renderPlace(w http.ResponseWriter, r *http.Request, status int, data queueData) {
	p.render(w, r, status, "queue", page{
		Title: wordsOf(r).t("Your place in the queue"), Script: "queue.js", RefreshSecs: data.RefreshSecs, Interrupted: data.Interrupted, Data: data,
	})
}

func (p *pages) unknownPlace(w http.ResponseWriter, r *http.Request) {
	in := wordsOf(r)
	p.render(w, r, http.StatusNotFound, "error", page{Title: in.t("Not found"), Data: errorData{
		in.t("We do not know this place in a queue"),
		in.t("Perhaps the address was copied without its end, or it is more than a day old. You can join the queue again from the sale’s page."),
	}})
}

// join takes a place for visitors without JavaScript: one per browser, unless it asks for
// a new one. With JavaScript, a page sends this form only to leave a used place, because
// scripts cannot reach the cookie.
func (p *pages) join(w http.ResponseWriter, r *http.Request) {
	sale, err := p.Catalog.Sale(r.Context(), r.PathValue("sale"))
	if err != nil {
		p.noSale(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, formBytesMax)
	r = p.postedLanguage(w, r)
	switch { // a form that cannot be read asks for nothing
	case r.PostFormValue("leave") != "":
		forgetPlace(w, r, sale.ID)
		w.WriteHeader(http.StatusNoContent)
		return
	case r.PostFormValue("new") == "":
		if token := p.keptPlace(w, r, sale.ID); token != "" {
			http.Redirect(w, r, "/queue/"+token, http.StatusSeeOther)
			return
		}
	}
	if sale.Entitlement.IsAsked() && r.PostFormValue("entitlement") != "" && r.PostFormValue("key") == "" { // the form is from a page that a cache kept
		data := p.saleData(r, sale)
		data.JoinNotice = onceMore(wordsOf(r))
		data.Shown = strings.TrimSpace(r.PostFormValue("entitlement"))
		p.renderSale(w, r, http.StatusOK, data)
		return
	}
	var taken place
	a, err := p.ask(r, requestID(w), joinQuestion(r, sale), &taken)
	switch {
	case err != nil:
		p.unavailable(w, r, err)
	case a.ok() && tokenPattern.MatchString(taken.Token):
		http.Redirect(w, r, "/queue/"+taken.Token, http.StatusSeeOther)
	case a.ok():
		p.unavailable(w, r, fmt.Errorf("joining the queue of sale %s: the answer has no token", sale.ID))
	default:
		data := p.saleData(r, sale)
		data.JoinNotice = joinNotice(wordsOf(r), a)
		data.Shown = strings.TrimSpace(r.PostFormValue("entitlement"))
		data.Form.Key = postedKey(r) // an answer that did not come may be for this key
		p.renderSale(w, r, a.status, data)
	}
}

// joinQuestion is what a script would send to join, with what the sale asks for.
func joinQuestion(r *http.Request, sale *domain.Sale) question {
	q := question{method: http.MethodPost, path: "/v1/sales/" + sale.ID + "/queue", body: struct{}{}}
	shown := strings.TrimSpace(r.PostFormValue("entitlement"))
	if !sale.Entitlement.IsAsked() || shown == "" {
		return q
	}
	kind := domain.PresaleCode
	if strings.Contains(shown, ".") { // no code has a dot
		kind = domain.Invitation
	}
	q.header = http.Header{"Idempotency-Key": {`"` + postedKey(r) + `"`}}
	q.body = map[string]map[domain.EntitlementKind]string{"entitlement": {kind: shown}}
	return q
}

// placeCookie leads a browser back to its place in a sale's queue. It is sent only to the
// pages of that sale, and to no script.
const placeCookie = "boxoffice-place"

// placeLife is how long a place is valid once the sale has opened.
const placeLife = 24 * time.Hour

// keepPlace makes the browser keep its place in the queue of a sale.
func keepPlace(w http.ResponseWriter, r *http.Request, sale *domain.Sale, token string) {
	setCookie(w, r, placeCookie, token, "/sales/"+sale.ID, max(time.Until(sale.OpensAt), 0)+placeLife)
}

func forgetPlace(w http.ResponseWriter, r *http.Request, saleID string) {
	setCookie(w, r, placeCookie, "", "/sales/"+saleID, -time.Second)
}

// keptPlace is the token of this browser's place in the queue of a sale; empty if it has
// none that could still be let in. If the API does not answer, the place may be valid,
// and another one would not be faster.
func (p *pages) keptPlace(w http.ResponseWriter, r *http.Request, saleID string) string {
	cookie, err := r.Cookie(placeCookie)
	if err != nil || !tokenPattern.MatchString(cookie.Value) {
		return ""
	}
	var found place
	a, err := p.ask(r, requestID(w), question{method: http.MethodGet, path: "/v1/queue/" + cookie.Value}, &found)
	switch {
	case err != nil || a.openEnded():
		return cookie.Value
	case !a.ok() || found.Sale != saleID || found.over():
		forgetPlace(w, r, saleID)
		return ""
	default:
		return cookie.Value
	}
}

func joinNotice(in *words, a answer) *notice {
	if a.openEnded() {
		return &notice{Kind: "warn", Heading: in.t("No place yet"), Text: in.t("Very many people are joining right now. Please press the button again in a moment.")}
	}
	return joinRefusal(in, a.problem)
}

// room is what the sale page says about its queue: nothing if the API does not answer.
func (p *pages) room(r *http.Request, saleID string) *room {
	var found room
	a, err := p.ask(r, "", question{method: http.MethodGet, path: "/v1/sales/" + saleID + "/queue"}, &found)
	if err != nil || !a.ok() {
		return nil
	}
	found.Draw.Sale = saleID
	return &found
}

// organiserQueue is the public state of a queue for the organiser's page, which may be on
// a listener without the public routes.
func (p *pages) organiserQueue(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("sale")
	if !domain.ValidSaleID(id) {
		p.notFound(w, r)
		return
	}
	a, err := p.ask(r, requestID(w), question{method: http.MethodGet, path: "/v1/sales/" + id + "/queue"}, nil)
	if err != nil {
		p.unavailable(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // the reader may be gone
}

// busy is a page that reloads itself: reading it again changes nothing.
func (p *pages) busy(w http.ResponseWriter, r *http.Request, a answer, heading string) {
	wait := min(max(a.retryAfter, refreshMin), refreshMax)
	wait += rand.N(wait / 2) // not all at the same moment
	in, seconds := wordsOf(r), strconv.Itoa(int(wait/time.Second))
	w.Header().Set("Retry-After", seconds)
	w.Header().Set("Refresh", seconds)
	status := a.status
	if status/100 == 4 && status != http.StatusTooManyRequests {
		status = http.StatusServiceUnavailable
	}
	p.render(w, r, status, "error", page{Title: in.t("One moment"), Data: errorData{
		heading, in.t("The box office is very busy and could not answer just now. This page tries again by itself in %d seconds.", int64(wait/time.Second)),
	}})
}

// requestID is the id that the API's server gave the visitor's request, if it did.
func requestID(w http.ResponseWriter) string { return w.Header().Get("X-Request-Id") }
